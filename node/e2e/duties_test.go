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
