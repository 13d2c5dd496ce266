package e2e

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

// killAnywhere kills the node at random moments of starting, changing and
// removing relays, and wants everything right after the last one.
func killAnywhere(t *testing.T, s *server, relays []protocol.Relay, rounds int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		p := s.panel()
		var wish []protocol.Relay
		for _, relay := range relays {
			if random.IntN(3) > 0 {
				relay.Generation = int64(1 + random.IntN(2))
				relay.Running = random.IntN(4) > 0
				wish = append(wish, relay)
			}
		}
		p.apply(int64(round+1), wish...)
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		s.kill()
		s.start()
	}
	p := s.panel()
	for i := range relays {
		relays[i].Generation = 3
	}
	wish := relays[:len(relays)/2]
	p.apply(int64(rounds+1), wish...)
	for _, relay := range wish {
		p.awaitRelay(relay.ID, func(r protocol.RelayStatus) bool { return r.Generation == 3 && ready(r) })
	}
	for until := time.Now().Add(patience); len(p.snapshot().Relays) != len(wish); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("relays: %+v", p.snapshot().Relays)
		}
	}
	snapshot := p.snapshot()
	if foreign := eventsOf(snapshot, "foreign_removed"); len(foreign) != 0 {
		t.Errorf("its own taken for foreign: %+v", foreign)
	}
	var starts []string
	for _, start := range snapshot.Starts {
		starts = append(starts, start.StartID)
	}
	slices.Sort(starts)
	if len(slices.Compact(slices.Clone(starts))) != len(starts) {
		t.Errorf("a start is finished twice: %v", starts)
	}
}

func TestNodeKilledAnywhereLeavesNothingBehind(t *testing.T) {
	s := startServer(t)
	var relays []protocol.Relay
	for id := range int64(6) {
		relays = append(relays, newRelay(t, id+1))
	}
	killAnywhere(t, s, relays, 25)
	for i, relay := range relays {
		if running := s.processOf(relay.ID) != 0; running != (i < len(relays)/2) {
			t.Errorf("relay %d runs: %v", relay.ID, running)
		}
	}
}

func TestNodeKilledAnywhereLeavesNoContainerBehind(t *testing.T) {
	s, d, _ := startDocker(t)
	var relays []protocol.Relay
	for id := range int64(4) {
		relays = append(relays, newRelayAt(t, id+1, publicAddress))
	}
	killAnywhere(t, s, relays, 15)
	names := strings.Fields(d.names())
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "/relay-1-g3 /relay-2-g3" {
		t.Errorf("containers: %s", got)
	}
}
