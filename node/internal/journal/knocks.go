package journal

import (
	"time"

	"golang.org/x/time/rate"

	"derpman/node/internal/protocol"
)

// keysOfRelay is what one relay remembers of strangers. A flood of made-up
// keys costs a bounded amount of memory and of lines on disk.
type keysOfRelay struct {
	byKey map[string]*protocol.Knock // the copy that counts on between reports
	fresh *rate.Limiter              // new keys taken up per second
}

// Knock notes that an unregistered key tried the relay. Repeats within
// RepeatAfter are counted and told with the next report.
func (j *Journal) Knock(relay int64, key, address string, at time.Time) {
	j.mu.Lock()
	keys := j.keysOf(relay)
	known := keys.byKey[key]
	if known == nil {
		if !keys.fresh.AllowN(at, 1) {
			j.mu.Unlock()
			return
		}
		known = &protocol.Knock{Relay: relay, Key: key, FirstAt: at}
	}
	if at.Before(known.LastAt) {
		at = known.LastAt // a clock set back must not make it a fresh knock
	}
	known.Address, known.Count = address, known.Count+1
	if known.Seq != 0 && at.Sub(known.LastAt) < RepeatAfter {
		j.mu.Unlock()
		return
	}
	report := *known
	report.LastAt, report.Seq = at, j.seq+1
	j.append(entry{Seq: report.Seq, Knock: &report})
	j.mu.Unlock()
	j.notify()
}

// noteKnock makes the reported knock the one that later repeats count on, in
// place of the report before it.
func (j *Journal) noteKnock(reported *protocol.Knock) {
	keys := j.keysOf(reported.Relay)
	if earlier := keys.byKey[reported.Key]; earlier != nil {
		j.kill(earlier.Seq)
	} else if len(keys.byKey) >= KnocksPerRelay {
		j.forgetSilent(reported.Relay, keys)
	}
	known := *reported
	keys.byKey[reported.Key] = &known
}

func (j *Journal) keysOf(relay int64) *keysOfRelay {
	keys := j.knocks[relay]
	if keys == nil {
		keys = &keysOfRelay{byKey: make(map[string]*protocol.Knock), fresh: rate.NewLimiter(10, 200)}
		j.knocks[relay] = keys
	}
	return keys
}

func (j *Journal) forgetSilent(relay int64, keys *keysOfRelay) {
	var oldest *protocol.Knock
	for _, knock := range keys.byKey {
		if oldest == nil || knock.LastAt.Before(oldest.LastAt) {
			oldest = knock
		}
	}
	j.kill(oldest.Seq)
	j.dropKey(relay, oldest.Key)
}

func (j *Journal) dropKey(relay int64, key string) {
	if keys := j.knocks[relay]; keys != nil {
		delete(keys.byKey, key)
	}
}

func (j *Journal) forgetKnocks(relay int64) {
	if keys := j.knocks[relay]; keys != nil {
		for _, knock := range keys.byKey {
			j.kill(knock.Seq)
		}
		delete(j.knocks, relay)
	}
}
