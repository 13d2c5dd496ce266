package relay

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"tailscale.com/types/key"

	"derpman/node/internal/checks"
	"derpman/node/internal/client"
	"derpman/node/internal/metering"
	"derpman/node/internal/presence"
	"derpman/node/internal/protocol"
	"derpman/node/internal/runtime"
)

const (
	unknownRate = -1

	readyWithin = 15 * time.Second
	readyPoll   = 20 * time.Millisecond
	lightEvery  = 10 * time.Second
	againAfter  = 3 * time.Second // a failed check
	fullEvery   = 60 * time.Second
	misses      = 3 // failed checks in a row after which a relay is restarted

	meterBusy = time.Second
	meterIdle = 5 * time.Second
)

// session follows one running process: readiness, presence, counters, checks.
type session struct {
	relay    *Relay
	instance runtime.Instance
	begun    time.Time
	lostAt   time.Time // when the one before it ended by itself, or zero
	target   client.Target
	web      *http.Client
	watcher  *presence.Watcher
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	rate     int64 // in force; of the relay's goroutine
	stir     chan struct{}

	mu     sync.Mutex
	ready  bool
	broken string // why the relay must be restarted
}

// follow begins to look after a process that has just been started or found.
func (r *Relay) follow(ctx context.Context, instance runtime.Instance, spec runtime.Spec, rate int64) *session {
	wanted := r.Wanted()
	// Its end comes by close, which may take a last look first.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &session{relay: r, instance: instance, begun: time.Now(), lostAt: r.lostAt, cancel: cancel, rate: rate}
	r.lostAt = time.Time{}
	if rate == unknownRate && time.Since(instance.StartedAt) > 0 {
		s.begun = instance.StartedAt
	}
	s.stir = make(chan struct{}, 1)
	s.target = client.Target{
		Host: spec.Local(), Port: spec.Port, StunPort: spec.StunPort, Name: spec.Address,
	}
	if wanted != nil {
		s.target.Pin, s.target.MeshKey = wanted.Pin(), wanted.MeshKey
	}
	s.web = s.target.HTTP()
	s.watcher = presence.New(s.target, r.door.Allows,
		func() { s.stirred(); r.env.Changed(r.ID) },
		func(device key.NodePublic) {
			r.env.Journal.Event(r.ID, "kicked", map[string]any{"key": device.String()})
		})
	if before := r.env.Ledger.Begin(r.ID, instance.Generation, instance.StartID, instance.StartedAt); before != "" {
		r.env.Journal.Event(r.ID, "gap", map[string]any{"start_id": before})
	}
	if rate != unknownRate {
		r.env.Journal.Event(r.ID, "relay_started", map[string]any{
			"start_id": instance.StartID, "generation": instance.Generation,
		})
	}
	r.mu.Lock()
	r.session, r.checks = s, nil
	r.mu.Unlock()
	r.set(protocol.Starting, "")
	s.tasks.Go(func() { s.run(ctx) })
	return s
}

func (s *session) close() {
	s.cancel()
	s.tasks.Wait()
	s.web.CloseIdleConnections()
}

func (s *session) isReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

func (s *session) brokenBy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *session) breakWith(reason string) {
	s.mu.Lock()
	s.broken = reason
	s.mu.Unlock()
	s.relay.Wake()
}

func (s *session) run(ctx context.Context) {
	if !s.awaitReady(ctx) {
		return
	}
	s.tasks.Go(func() { s.watcher.Run(ctx) })
	s.tasks.Go(func() { s.meter(ctx) })
	s.check(ctx)
}

// awaitReady looks often, so that an activation is not kept waiting.
func (s *session) awaitReady(ctx context.Context) bool {
	deadline := time.Now().Add(readyWithin)
	for time.Now().Before(deadline) {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		seen := checks.Light(within, &s.target)
		cancel()
		if ctx.Err() != nil {
			return false
		}
		if failure(seen) == "" {
			s.mu.Lock()
			s.ready = true
			s.mu.Unlock()
			s.relay.becameReady(seen, s.lostAt)
			return true
		}
		if !pause(ctx, readyPoll) {
			return false
		}
	}
	s.breakWith("check:start")
	return false
}

// becameReady tells of it, and how long a relay that was lost was away.
func (r *Relay) becameReady(seen protocol.Checks, lostAt time.Time) {
	r.mu.Lock()
	r.checks = &seen
	r.mu.Unlock()
	r.set(protocol.Ready, "")
	if !lostAt.IsZero() {
		r.env.Journal.Event(r.ID, "relay_killed_back", map[string]any{
			"away_seconds": time.Since(lostAt).Round(time.Millisecond).Seconds(),
		})
	}
	r.Wake() // a change of speed may have waited for this
}

// stirred makes the counters be read soon: who comes or goes often sends something.
func (s *session) stirred() {
	select {
	case s.stir <- struct{}{}:
	default:
	}
}

// meter reads the counters every second while bytes flow, rarely otherwise.
func (s *session) meter(ctx context.Context) {
	every := meterBusy
	for quiet := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.stir:
			quiet, every = 0, meterBusy
			if !pause(ctx, every) {
				return
			}
		case <-time.After(every):
		}
		reading, err := metering.Read(ctx, &s.target, s.web)
		if err != nil {
			continue // the checks tell
		}
		if s.relay.env.Ledger.Note(s.relay.ID, s.instance.StartID, reading, time.Now()) {
			quiet, every = 0, meterBusy
			s.relay.reconsider()
			continue
		}
		if quiet++; quiet > 3 {
			every = meterIdle
		}
	}
}

// check looks lightly often and fully now and then, beginning with a full look.
func (s *session) check(ctx context.Context) {
	missed := 0
	nextFull := time.Now()
	for {
		full := !time.Now().Before(nextFull)
		if full {
			nextFull = time.Now().Add(jitter(fullEvery))
		}
		seen := s.look(ctx, full)
		if ctx.Err() != nil {
			return
		}
		which := failure(seen)
		s.relay.looked(seen, which)
		wait := jitter(lightEvery)
		if which == "" {
			missed = 0
		} else {
			wait = againAfter
			if which == "echo" || which == "stranger_refused" {
				nextFull = time.Now() // only a full look can find it mended
			}
			if missed++; missed == misses {
				s.breakWith("check:" + which)
				return
			}
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

func (s *session) look(ctx context.Context, full bool) protocol.Checks {
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	seen := checks.Light(within, &s.target)
	if !full || failure(seen) != "" {
		return seen
	}
	select { // full looks of many relays at once would only measure each other
	case s.relay.env.Looks <- struct{}{}:
		defer func() { <-s.relay.env.Looks }()
	case <-ctx.Done():
		return seen
	}
	within, cancelFull := context.WithTimeout(ctx, 8*time.Second)
	defer cancelFull()
	echoed := checks.Echo(within, &s.target) == nil
	if echoed {
		s.relay.env.Ledger.Probed(s.relay.ID, s.instance.StartID, checks.EchoBytes)
	}
	refused := checks.Stranger(within, &s.target, s.relay.door.Expect) == nil
	seen.Echo, seen.StrangerRefused = &echoed, &refused
	return seen
}

// looked notes what a check saw. Light checks keep what the last full one saw.
func (r *Relay) looked(seen protocol.Checks, which string) {
	r.mu.Lock()
	before := r.checks
	if before != nil && seen.Echo == nil {
		seen.Echo, seen.StrangerRefused = before.Echo, before.StrangerRefused
	}
	r.checks = &seen
	r.mu.Unlock()
	switch {
	case which != "":
		r.set(protocol.Degraded, "check:"+which)
	default:
		r.set(protocol.Ready, "")
	}
	if before == nil || !sameSight(*before, seen) {
		r.env.Changed(r.ID)
	}
}

// failure names the first thing a client would stumble over, "" for nothing.
func failure(c protocol.Checks) string {
	switch {
	case !c.TLS:
		return "tls"
	case !c.Pin:
		return "pin"
	case !c.HTTP:
		return "http"
	case !c.STUN:
		return "stun"
	case c.Echo != nil && !*c.Echo:
		return "echo"
	case c.StrangerRefused != nil && !*c.StrangerRefused:
		return "stranger_refused"
	}
	return ""
}

func sameSight(a, b protocol.Checks) bool {
	same := func(x, y *bool) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
	return a.TLS == b.TLS && a.Pin == b.Pin && a.HTTP == b.HTTP && a.STUN == b.STUN &&
		same(a.Echo, b.Echo) && same(a.StrangerRefused, b.StrangerRefused)
}

// jitter spreads what many relays do at the same pace.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
