package relay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"derpman/node/internal/metering"
	"derpman/node/internal/protocol"
	"derpman/node/internal/runtime"
)

const (
	lasting = 10 * time.Second // a start that lived this long was no failure
	sweep   = time.Minute      // events wake earlier; this finds what they missed
	looping = 4                // failures in a row that are called a crash loop
)

// backoff is how long to wait before the start after so many failures.
func backoff(failures int) time.Duration {
	steps := []time.Duration{0, 200 * time.Millisecond, 500 * time.Millisecond, time.Second,
		2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}
	return steps[min(failures, len(steps)-1)]
}

// step looks at what is there and brings it one move closer to what is
// wanted. It may be ended anywhere and begun again.
func (r *Relay) step(ctx context.Context) (next time.Time, gone bool) {
	now := time.Now()
	r.mu.Lock()
	stand, wanted := r.stand(now), r.wanted
	r.mu.Unlock()
	found, err := r.find(ctx)
	if err != nil {
		if ctx.Err() == nil {
			slog.Warn("runtime cannot be asked", "relay", r.ID, "error", err)
			r.mu.Lock()
			blind := r.session == nil
			r.mu.Unlock()
			if blind { // one that is followed goes on being checked
				r.set(protocol.Failed, "runtime_unavailable")
			}
		}
		return now.Add(time.Second), false
	}
	var spec runtime.Spec
	if wanted != nil {
		spec = r.specOf(wanted)
	}
	running := r.sort(ctx, found, spec.Hash(), stand.run)
	r.act(stand)
	switch {
	case !stand.run:
		if !r.halt(ctx, stand.reason) {
			return now.Add(time.Second), false
		}
		if wanted == nil {
			return now.Add(time.Second), r.forget(ctx)
		}
		return now.Add(sweep), false
	case running == nil:
		return r.start(ctx, spec, stand), false
	default:
		r.keep(ctx, *running, spec, stand)
	}
	next = now.Add(sweep)
	if wanted.ExpiresAt != nil && wanted.ExpiresAt.Before(next) {
		next = *wanted.ExpiresAt
	}
	return next, false
}

func (r *Relay) find(ctx context.Context) ([]runtime.Instance, error) {
	r.env.Slots <- struct{}{}
	defer func() { <-r.env.Slots }()
	return r.env.Runtime.Find(ctx, r.ID)
}

// act tells of a new stance, once.
func (r *Relay) act(stand stance) {
	r.mu.Lock()
	changed := r.stance != stand
	r.stance = stand
	r.mu.Unlock()
	if !changed || stand.reason == removing {
		return
	}
	word := stand.reason
	if stand.throttled {
		word = "throttled"
	}
	if r.env.Ledger.Mark(r.ID, word) != word {
		switch word {
		case "expired":
			r.env.Journal.Event(r.ID, "expired", nil)
		case "quota":
			r.env.Journal.Event(r.ID, "quota_stopped", map[string]any{"total_sent_bytes": r.env.Ledger.Total(r.ID)})
		case "throttled":
			r.env.Journal.Event(r.ID, "quota_throttled", map[string]any{"rate_bytes_per_second": stand.rate})
		}
	}
	r.env.Changed(r.ID)
}

// sort picks the instance that is the wanted one, removes what is not, and
// notices when the one we followed has ended or must be replaced.
func (r *Relay) sort(ctx context.Context, found []runtime.Instance, spec string, run bool) *runtime.Instance {
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	asked := r.asked()
	var running *runtime.Instance
	alive := false
	for i, instance := range found {
		ours := session != nil && instance.StartID == session.instance.StartID && instance.Condition == runtime.Running
		alive = alive || ours
		switch {
		case run && instance.Spec == spec && instance.Condition == runtime.Running && (ours || (session == nil && running == nil)):
			running = &found[i]
		case ours, instance.Spec == spec && instance.Condition == runtime.Ended && run && (asked == "" || asked == instance.Label):
			// The former is stopped properly below, the latter is what Start starts again.
		default:
			r.discard(ctx, instance)
		}
	}
	if session == nil {
		if asked != "" {
			r.failures, r.notBefore = 0, time.Time{} // of the image before
		}
		return running
	}
	outdated := asked != "" && session.instance.Label != asked
	if !outdated {
		r.answered(asked)
	}
	reason := session.brokenBy()
	switch {
	case !alive:
		r.lost(session)
		if outdated {
			r.failures, r.notBefore = 0, time.Time{} // of the image before
		}
	case run && reason != "" && !outdated:
		if time.Since(session.begun) > 2*fullEvery {
			r.failures = 0 // it did well for a while
		}
		r.failed(reason)
		if r.end(ctx, session) {
			r.env.Journal.Event(r.ID, "check_failed", map[string]any{"reason": reason, "restarted": true})
		}
		running = nil
	case run && (session.instance.Spec != spec || outdated):
		r.set(protocol.Starting, "")
		r.end(ctx, session)
		r.failures, r.notBefore = 0, time.Time{}
		running = nil
	}
	return running
}

// discard removes an instance that should not be there.
func (r *Relay) discard(ctx context.Context, instance runtime.Instance) {
	if err := r.remove(ctx, instance); err != nil {
		return
	}
	if running := r.env.Ledger.Running(r.ID); running != "" && running == instance.StartID {
		r.finish(true) // a start of ours that was to end when the node itself did
	} else if instance.Generation == r.env.Ledger.Launched(r.ID) {
		slog.Info("leftover removed", "relay", r.ID, "generation", instance.Generation)
	} else if instance.Condition == runtime.Running || r.foreign {
		r.env.Journal.Foreign(instance.Handle, r.ID, instance.Generation)
	}
}

// lost deals with a process that ended without being told to.
func (r *Relay) lost(session *session) {
	r.lostAt = time.Now()
	r.drop(session)
	r.finish(true)
	ran := time.Since(session.begun)
	r.env.Journal.Event(r.ID, "relay_exited", map[string]any{
		"start_id": session.instance.StartID, "ran_seconds": ran.Round(time.Millisecond).Seconds(),
	})
	if ran >= lasting {
		r.failures = 0
		r.notBefore = time.Time{}
	} else {
		r.failures++
		r.notBefore = r.lostAt.Add(backoff(r.failures - 1))
	}
	if r.failures >= looping {
		r.set(protocol.Failed, "crash_loop")
	} else {
		r.set(protocol.Starting, "")
	}
}

// failed deals with a start that came to nothing, or to nothing good.
func (r *Relay) failed(reason string) {
	r.failures++
	r.notBefore = time.Now().Add(backoff(r.failures))
	state := protocol.Degraded
	if r.failures >= looping {
		state = protocol.Failed
	}
	r.set(state, reason)
}

// start begins a new process, unless it is too early or cannot be.
func (r *Relay) start(ctx context.Context, spec runtime.Spec, stand stance) time.Time {
	now := time.Now()
	if now.Before(r.notBefore) {
		return r.notBefore
	}
	if port, busy := busyPort(spec); busy {
		if r.set(protocol.Failed, "port_in_use") {
			slog.Warn("port of a relay is in use", "relay", r.ID, "port", port)
		}
		return now.Add(time.Second)
	}
	if r.failures < looping {
		r.set(protocol.Starting, "")
	}
	asked := r.asked()
	instance, err := r.launch(ctx, spec, stand)
	switch {
	case errors.Is(err, runtime.ErrNoImage):
		r.set(protocol.Failed, "image_missing")
		return now.Add(30 * time.Second)
	case err != nil:
		if ctx.Err() == nil {
			slog.Error("relay not started", "relay", r.ID, "error", err)
			if r.failures == 0 { // told once, shown as long as it lasts
				r.env.Journal.Event(r.ID, "start_failed", map[string]any{"error": err.Error()})
			}
			r.failed("start_failed")
		}
		return r.notBefore
	}
	r.answered(asked)
	r.door.Open()
	r.follow(ctx, instance, spec, stand.rate)
	return now.Add(sweep)
}

func (r *Relay) launch(ctx context.Context, spec runtime.Spec, stand stance) (runtime.Instance, error) {
	r.env.Slots <- struct{}{}
	defer func() { <-r.env.Slots }()
	if err := r.writeFiles(spec, stand.rate); err != nil {
		return runtime.Instance{}, err
	}
	r.env.Ledger.Launch(r.ID, spec.Generation)
	return r.env.Runtime.Start(ctx, spec)
}

// keep follows a relay that runs as wanted, and changes its speed if that is what changed.
func (r *Relay) keep(ctx context.Context, running runtime.Instance, spec runtime.Spec, stand stance) {
	r.door.Open()
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	if session == nil {
		session = r.follow(ctx, running, spec, unknownRate)
	}
	session.watcher.Enforce()
	if !session.isReady() || session.rate == stand.rate {
		return // before it is ready derper may not yet listen for the signal
	}
	if err := r.writeRate(spec, stand.rate); err != nil {
		slog.Error("rate not written", "relay", r.ID, "error", err)
		return
	}
	if err := r.env.Runtime.Reload(ctx, running); err != nil {
		slog.Error("rate not reloaded", "relay", r.ID, "error", err)
		return
	}
	session.rate = stand.rate
}

// halt stops what runs and says whether nothing runs any more.
func (r *Relay) halt(ctx context.Context, reason string) bool {
	r.door.Shut()
	r.failures, r.notBefore, r.lostAt = 0, time.Time{}, time.Time{}
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	if session != nil && !r.end(ctx, session) {
		return false
	}
	r.finish(true) // one that ended while nobody looked
	r.mu.Lock()
	r.checks = nil
	r.mu.Unlock()
	r.set(protocol.Stopped, reason)
	return true
}

// end stops a running relay with its account settled: nobody is let in any
// more, those connected are cut off, then the last reading is taken.
func (r *Relay) end(ctx context.Context, session *session) bool {
	r.door.Shut()
	settled := false
	if session.isReady() && session.brokenBy() == "" {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		drained := session.watcher.Drain(within)
		reading, err := metering.Read(within, &session.target, session.web)
		cancel()
		if err == nil {
			r.env.Ledger.Note(r.ID, session.instance.StartID, reading, time.Now())
			settled = drained
		}
	}
	if err := r.remove(ctx, session.instance); err != nil {
		return false
	}
	r.drop(session)
	r.finish(!settled)
	return true
}

func (r *Relay) remove(ctx context.Context, instance runtime.Instance) error {
	r.env.Slots <- struct{}{}
	defer func() { <-r.env.Slots }()
	err := r.env.Runtime.Remove(ctx, instance)
	if err != nil && ctx.Err() == nil {
		slog.Error("relay not removed", "relay", r.ID, "handle", instance.Handle, "error", err)
	}
	return err
}

func (r *Relay) drop(session *session) {
	r.mu.Lock()
	r.session = nil
	if r.state == protocol.Ready { // of a process that is no more
		r.state = protocol.Starting
	}
	r.mu.Unlock()
	session.close()
	r.env.Changed(r.ID)
}

// finish closes the account of the start that ran, if one did.
func (r *Relay) finish(gap bool) {
	if startID := r.env.Ledger.Finish(r.ID, gap); startID != "" && gap {
		r.env.Journal.Event(r.ID, "gap", map[string]any{"start_id": startID})
	}
}

// busyPort says whether somebody else has one of the relay's ports.
func busyPort(spec runtime.Spec) (int, bool) {
	host := ""
	if local := spec.Local(); local == spec.Address {
		host = local
	}
	tcp, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(spec.Port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return spec.Port, true
	}
	if err == nil {
		tcp.Close()
	}
	udp, err := net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(spec.StunPort)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return spec.StunPort, true
	}
	if err == nil {
		udp.Close()
	}
	return 0, false
}
