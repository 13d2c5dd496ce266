package journal

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"derpman/node/internal/protocol"
)

// keysOfRelay is what one relay remembers of strangers. A flood of made-up
// keys costs a bounded amount of memory and of lines on disk.
type keysOfRelay struct {
	byKey    map[string]*protocol.Knock     // the copy that counts on between reports
	fresh    *rate.Limiter                  // new keys taken up per second
	networks map[netip.Prefix]*rate.Limiter // and of each network, below that
}

const (
	// A network that floods uses up its own share, so that a device elsewhere
	// is still taken up: an office that joins at once fits into the burst.
	freshOfNetwork = 1
	burstOfNetwork = 60
	mostNetworks   = 1024
)

// isWelcome says whether a new key from this address may be taken up.
func (k *keysOfRelay) isWelcome(address string, at time.Time) bool {
	network := networkOf(address)
	limit := k.networks[network]
	if limit == nil {
		if len(k.networks) >= mostNetworks {
			k.forgetRested(at)
		}
		limit = rate.NewLimiter(freshOfNetwork, burstOfNetwork)
		k.networks[network] = limit
	}
	return limit.AllowN(at, 1) && k.fresh.AllowN(at, 1)
}

// forgetRested drops the networks that have their whole share again, or all
// when there are none: a flood from thousands of networks meets the common limit.
func (k *keysOfRelay) forgetRested(at time.Time) {
	for network, limit := range k.networks {
		if limit.TokensAt(at) >= burstOfNetwork {
			delete(k.networks, network)
		}
	}
	if len(k.networks) >= mostNetworks {
		clear(k.networks)
	}
}

// networkOf is what one subscriber or office has: a /24 or a /48.
func networkOf(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 48
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	network, _ := ip.WithZone("").Prefix(bits)
	return network
}

// Knock notes that an unregistered key tried the relay. Repeats within
// RepeatAfter are counted and told with the next report.
func (j *Journal) Knock(relay int64, key, address string, at time.Time) {
	j.mu.Lock()
	keys := j.keysOf(relay)
	known := keys.byKey[key]
	if known == nil {
		if !keys.isWelcome(address, at) {
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
		keys = &keysOfRelay{
			byKey:    make(map[string]*protocol.Knock),
			fresh:    rate.NewLimiter(10, 200),
			networks: make(map[netip.Prefix]*rate.Limiter),
		}
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
