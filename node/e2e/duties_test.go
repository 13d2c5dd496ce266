package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

func ready(r protocol.RelayStatus) bool { return r.State == protocol.Ready }

func proven(r protocol.RelayStatus) bool {
	return ready(r) && r.Checks != nil && r.Checks.Echo != nil && *r.Checks.Echo &&
		r.Checks.StrangerRefused != nil && *r.Checks.StrangerRefused
}

func TestAppliedRelayServesItsDevices(t *testing.T) {
	s := startServer(t)
	one, two, stranger := newDevice(), newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	p := s.panel()
	if hello := p.hello(); hello.RelayLabel == nil || *hello.RelayLabel != label || hello.Generation != 0 {
		t.Fatalf("hello: %+v", hello)
	}
	p.apply(1, relay)
	p.awaitRelay(1, proven)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, []byte("hello"))
	stranger.mustBeRefused(t, relay)
	knock := p.await(func(s protocol.Snapshot) bool { return len(s.Knocks) > 0 }).Knocks[0]
	if knock.Key != stranger.public() || knock.Relay != 1 || knock.Address != "127.0.0.1" || knock.Count != 1 {
		t.Fatalf("knock: %+v", knock)
	}
	present := p.awaitRelay(1, func(r protocol.RelayStatus) bool { return len(r.Presence) == 2 })
	if present.Connections != 2 {
		t.Fatalf("connections: %d", present.Connections)
	}
	if knocks := p.snapshot().Knocks; len(knocks) != 1 {
		t.Fatalf("our own checks knock: %+v", knocks)
	}
}

func TestOlderWishIsRefused(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	p.apply(7)
	p.mustRefuse("apply.stale", "apply", protocol.Apply{Generation: 6, Relays: []protocol.Relay{}})
	p.apply(7)
	s.kill()
	s.start()
	p = s.panel()
	if got := p.hello().Generation; got != 7 {
		t.Fatalf("generation after a crash: %d", got)
	}
	p.mustRefuse("apply.stale", "apply", protocol.Apply{Generation: 6, Relays: []protocol.Relay{}})
	p.apply(8)
}

func TestKilledRelayIsBackWithinASecond(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	p.apply(1, newRelay(t, 1))
	started := p.awaitRelay(1, ready)
	var away float64
	for try := range 3 { // a busy machine may be slow once
		if err := syscall.Kill(s.processOf(1), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		away = p.awaitEvent("relay_killed_back").Detail["away_seconds"].(float64)
		if now := p.awaitRelay(1, ready); *now.StartID == *started.StartID || now.Restarts != int64(try+1) {
			t.Fatalf("start after the kill: %+v", now)
		}
		if away < 1 {
			break
		}
	}
	if away >= 1 {
		t.Fatalf("away for %v s", away)
	}
	starts := p.snapshot().Starts
	if len(starts) == 0 || starts[0].StartID != *started.StartID || !starts[0].Gap {
		t.Fatalf("finished starts: %+v", starts)
	}
}

func TestRelayOutlivesTheNode(t *testing.T) {
	s := startServer(t)
	one, two, stranger := newDevice(), newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	p := s.panel()
	p.apply(3, relay)
	before := p.awaitRelay(1, proven)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 1000))
	p.askRelay(1, func(r protocol.RelayStatus) bool { return r.TotalSentBytes == 1000 })
	process := s.processOf(1)
	s.kill()
	a.send(two, b, make([]byte, 500)) // counted though nobody reads just now
	s.start()
	p = s.panel()
	after := p.askRelay(1, func(r protocol.RelayStatus) bool { return ready(r) && r.TotalSentBytes == 1500 && len(r.Presence) == 2 })
	if *after.StartID != *before.StartID || !after.StartedAt.Equal(*before.StartedAt) || s.processOf(1) != process {
		t.Fatalf("another process: %+v, before %+v", after, before)
	}
	if !a.isOpen() || !b.isOpen() {
		t.Fatal("a device lost its connection")
	}
	stranger.mustBeRefused(t, relay)
	newDevice().mustBeRefused(t, relay)
	third := one.mustDial(t, relay) // the address of the admission still holds
	third.send(two, b, []byte("again"))
}

func TestRelayThatEndedWithTheNodeIsStartedAgain(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	p.apply(1, newRelay(t, 1))
	before := p.awaitRelay(1, ready)
	s.kill()
	syscall.Kill(s.processOf(1), syscall.SIGKILL)
	s.start()
	p = s.panel()
	after := p.awaitRelay(1, ready)
	if *after.StartID == *before.StartID {
		t.Fatal("start id is the old one")
	}
	starts := p.snapshot().Starts
	if len(starts) != 1 || starts[0].StartID != *before.StartID || !starts[0].Gap {
		t.Fatalf("finished starts: %+v", starts)
	}
}

func TestRemovedDeviceIsCutOff(t *testing.T) {
	s := startServer(t)
	kept, removed := newDevice(), newDevice()
	relay := newRelay(t, 1, kept, removed)
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	a, b := kept.mustDial(t, relay), removed.mustDial(t, relay)
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return len(r.Presence) == 2 })
	relay.Devices = relay.Devices[:1]
	p.apply(2, relay)
	removed.mustBeRefused(t, relay) // at once: admission holds when apply has answered
	b.awaitClosed()
	if event := p.awaitEvent("kicked"); event.Detail["key"] != removed.public() {
		t.Fatalf("kicked: %+v", event)
	}
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return len(r.Presence) == 1 })
	if !a.isOpen() {
		t.Fatal("the other device was cut off too")
	}
}

func TestDeviceIsCutOffWhenItsTimeIsOver(t *testing.T) {
	s := startServer(t)
	d := newDevice()
	relay := newRelay(t, 1, d)
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	l := d.mustDial(t, relay)
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return len(r.Presence) == 1 })
	soon := time.Now().Add(time.Second)
	relay.Devices[0].NotAfter = &soon
	p.apply(2, relay)
	l.awaitClosed()
	d.mustBeRefused(t, relay)
	if time.Now().Before(soon) {
		t.Fatal("cut off too early")
	}
	if knocks := p.snapshot().Knocks; len(knocks) != 0 {
		t.Fatalf("a known device knocks: %+v", knocks)
	}
}

func TestExpiryStopsTheRelayWithoutThePanel(t *testing.T) {
	s := startServer(t)
	d := newDevice()
	relay := newRelay(t, 1, d)
	soon := time.Now().Add(2 * time.Second)
	relay.ExpiresAt = &soon
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	l := d.mustDial(t, relay)
	l.awaitClosed()
	stopped := p.awaitState(1, protocol.Stopped, "expired")
	if stopped.StartID != nil || s.processOf(1) != 0 {
		t.Fatalf("still there: %+v", stopped)
	}
	later := time.Now().Add(time.Hour)
	relay.ExpiresAt = &later
	p.apply(2, relay)
	p.awaitRelay(1, ready)
	d.mustDial(t, relay)
}

func TestExpiryWhileTheNodeIsDeadStopsTheRelay(t *testing.T) {
	s := startServer(t)
	relay := newRelay(t, 1)
	soon := time.Now().Add(time.Second)
	relay.ExpiresAt = &soon
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	s.kill()
	time.Sleep(time.Until(soon))
	if s.processOf(1) == 0 {
		t.Fatal("the relay did not outlive the node")
	}
	s.start()
	s.panel().awaitState(1, protocol.Stopped, "expired")
	if s.processOf(1) != 0 {
		t.Fatal("still running")
	}
}

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

func TestNotWantedRelayIsStopped(t *testing.T) {
	s := startServer(t)
	relay := newRelay(t, 1)
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	relay.Running = false
	p.apply(2, relay)
	p.awaitState(1, protocol.Stopped, "not_wanted")
	relay.Running = true
	p.apply(3, relay)
	p.awaitRelay(1, ready)
	p.apply(4)
	removed := p.await(func(s protocol.Snapshot) bool { return len(s.Removed) > 0 })
	if removed.Removed[0] != 1 || s.processOf(1) != 0 {
		t.Fatalf("removed: %v", removed.Removed)
	}
	if left, _ := os.ReadDir(filepath.Join(s.state(), "relays")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestRemovalIsFinishedAfterACrash(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	relay := newRelay(t, 1)
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	s.kill()
	// As if the node had been killed right after it accepted the removal.
	wish := `{"generation":2,"relays":[]}`
	if err := os.WriteFile(filepath.Join(s.state(), "desired.json"), []byte(wish), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	p = s.panel()
	p.await(func(s protocol.Snapshot) bool { return len(s.Removed) == 1 })
	snapshot := p.snapshot()
	if s.processOf(1) != 0 || len(snapshot.Starts) != 1 || len(eventsOf(snapshot, "foreign_removed")) != 0 {
		t.Fatalf("after the crash: %+v", snapshot)
	}
}

func TestPortInUseIsNamedAndRetried(t *testing.T) {
	s := startServer(t)
	relay := newRelay(t, 1)
	release := occupy(t, relay.Port)
	p := s.panel()
	p.apply(1, relay)
	p.awaitState(1, protocol.Failed, "port_in_use")
	release()
	p.awaitRelay(1, ready)
}

func TestRelayThatKeepsEndingIsACrashLoop(t *testing.T) {
	script := filepath.Join(t.TempDir(), "derper")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 0.05\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--derper", script)
	p := s.panel()
	p.apply(1, newRelay(t, 1))
	p.awaitState(1, protocol.Failed, "crash_loop")
}

func TestHungRelayIsRestarted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three missed checks")
	}
	s := startServer(t)
	p := s.panel()
	p.apply(1, newRelay(t, 1))
	p.awaitRelay(1, proven)
	if err := syscall.Kill(s.processOf(1), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return r.State == protocol.Degraded })
	p.awaitEvent("check_failed")
	p.awaitRelay(1, proven)
}

func TestManyRelaysStartSideBySide(t *testing.T) {
	s := startServer(t)
	var relays []protocol.Relay
	for id := range int64(20) {
		relays = append(relays, newRelay(t, id+1))
	}
	p := s.panel()
	p.apply(1, relays...)
	up := make(map[int64]bool)
	p.await(func(s protocol.Snapshot) bool {
		for _, r := range s.Relays {
			up[r.ID] = up[r.ID] || ready(r)
		}
		return len(up) == 20 && !hasFalse(up)
	})
}

func hasFalse(of map[int64]bool) bool {
	for _, value := range of {
		if !value {
			return true
		}
	}
	return false
}

func TestRelaysEndWithTheNodeWhereThatIsAskedFor(t *testing.T) {
	s := startServer(t, "--stop-relays")
	one, two := newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	p := s.panel()
	p.apply(1, relay)
	p.awaitRelay(1, proven)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 700))
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.command.Wait()
	if s.processOf(1) != 0 {
		t.Fatal("the relay outlived the node")
	}
	s.start()
	p = s.panel()
	p.awaitRelay(1, ready)
	if starts := p.snapshot().Starts; len(starts) != 1 || starts[0].Gap || starts[0].SentBytes-starts[0].ProbeBytes != 700 {
		t.Fatalf("finished starts: %+v", starts)
	}
}

func TestRelaysOutliveANodeThatIsToldToEnd(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	p.apply(1, newRelay(t, 1))
	before := p.awaitRelay(1, ready)
	s.command.Process.Signal(syscall.SIGTERM)
	s.command.Wait()
	s.start()
	if after := s.panel().awaitRelay(1, ready); *after.StartID != *before.StartID {
		t.Fatal("the relay was started anew")
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
