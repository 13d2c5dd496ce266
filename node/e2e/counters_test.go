package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

func TestTrafficIsCountedWithoutOurProbes(t *testing.T) {
	s := startServer(t)
	one, two := newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, proven)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 4000))
	b.send(one, a, make([]byte, 300))
	first := p.askRelay(1, func(r protocol.RelayStatus) bool { return r.TotalSentBytes >= 4300 })
	if first.TotalSentBytes != 4300 || first.ProbeBytes == 0 || first.SentBytes != 4300+first.ProbeBytes {
		t.Fatalf("counted: %+v", first)
	}
	// A planned end settles the account exactly, and the total goes on over starts.
	relay.Generation = 2
	p.apply(2, relay)
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return r.Generation == 2 && ready(r) })
	starts := p.snapshot().Starts
	if len(starts) != 1 || starts[0].Gap || starts[0].SentBytes-starts[0].ProbeBytes != 4300 {
		t.Fatalf("finished starts: %+v", starts)
	}
	a, b = one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 200))
	p.askRelay(1, func(r protocol.RelayStatus) bool { return r.TotalSentBytes == 4500 })
}

func TestQuotaStopsAndHigherLimitResumes(t *testing.T) {
	s := startServer(t)
	one, two := newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	relay.Quota = &protocol.Quota{LimitBytes: 10_000, AtLimit: protocol.AtLimitStop}
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 12_000))
	p.awaitState(1, protocol.Stopped, "quota")
	a.awaitClosed()
	if s.processOf(1) != 0 {
		t.Fatal("still running")
	}
	if got := len(eventsOf(p.snapshot(), "quota_stopped")); got != 1 {
		t.Fatalf("told %d times", got)
	}
	relay.Quota.LimitBytes = 50_000
	p.apply(2, relay)
	if r := p.awaitRelay(1, ready); r.TotalSentBytes != 12_000 {
		t.Fatalf("total after resuming: %d", r.TotalSentBytes)
	}
	one.mustDial(t, relay)
}

func TestQuotaThrottlesWithoutARestart(t *testing.T) {
	s := startServer(t)
	one, two := newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	relay.Quota = &protocol.Quota{LimitBytes: 10_000, AtLimit: protocol.AtLimitThrottle, ThrottleBytesPerSecond: 70_000}
	p := s.panel()
	p.apply(1, relay)
	before := p.awaitRelay(1, ready)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 12_000))
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return r.Throttled })
	// derper takes no more than its burst of 70,000 at once, so this takes a while.
	begun := time.Now()
	for range 4 {
		a.send(two, b, make([]byte, 50_000))
	}
	if took := time.Since(begun); took < time.Second {
		t.Fatalf("200,000 bytes in %v", took)
	}
	relay.Quota = nil
	p.apply(2, relay)
	after := p.awaitRelay(1, func(r protocol.RelayStatus) bool { return !r.Throttled })
	if *after.StartID != *before.StartID {
		t.Fatal("restarted to change the speed")
	}
}

func TestSpeedChangesLive(t *testing.T) {
	s := startServer(t)
	relay := newRelay(t, 1)
	p := s.panel()
	p.apply(1, relay)
	before := p.awaitRelay(1, ready)
	relay.RateBytesPerSecond = 123_456
	p.apply(2, relay)
	awaitText(t, filepath.Join(s.state(), "relays", "1", "derper.log"), "client-rate=123456")
	if after := p.awaitRelay(1, ready); *after.StartID != *before.StartID {
		t.Fatal("restarted to change the speed")
	}
}

func awaitText(t *testing.T, path, text string) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		content, _ := os.ReadFile(path)
		if contains(content, text) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s never said %q", path, text)
		}
	}
}

func TestTurnsAreToldOnceOverRestartsOfTheNode(t *testing.T) {
	s := startServer(t)
	one, two := newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	relay.Quota = &protocol.Quota{LimitBytes: 100, AtLimit: protocol.AtLimitThrottle, ThrottleBytesPerSecond: 100_000}
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 200))
	p.awaitEvent("quota_throttled")
	s.command.Process.Signal(syscall.SIGTERM)
	s.command.Wait()
	s.start()
	p = s.panel()
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return ready(r) && r.Throttled })
	if told := eventsOf(p.snapshot(), "quota_throttled"); len(told) != 1 {
		t.Fatalf("told %d times", len(told))
	}
}
