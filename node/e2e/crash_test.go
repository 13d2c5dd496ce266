package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

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
