package e2e

import (
	"bufio"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

// panel is one connection to a node.
type panel struct {
	t          *testing.T
	connection net.Conn

	mu      sync.Mutex
	id      int64
	answers map[int64]chan answer
	events  chan protocol.Snapshot

	// What await has gathered.
	relays   map[int64]protocol.RelayStatus
	happened []protocol.Event
}

type answer struct {
	ID    int64
	OK    bool
	Body  json.RawMessage
	Error *protocol.Error
	Event *protocol.Snapshot
}

func (s *server) panel() *panel {
	s.t.Helper()
	p := &panel{t: s.t, answers: make(map[int64]chan answer), events: make(chan protocol.Snapshot, 4096)}
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if p.connection, err = net.Dial("unix", s.socket()); err == nil {
			break
		}
		if time.Now().After(until) {
			s.t.Fatalf("no socket: %v\n%s", err, s.log)
		}
	}
	s.t.Cleanup(func() { p.connection.Close() })
	go p.read()
	return p
}

func (p *panel) read() {
	defer close(p.events)
	lines := bufio.NewReaderSize(p.connection, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			p.t.Errorf("not an answer: %v", err)
			return
		}
		if a.Event != nil {
			p.events <- *a.Event
			continue
		}
		p.mu.Lock()
		waiting := p.answers[a.ID]
		p.mu.Unlock()
		if waiting != nil {
			waiting <- a
		}
	}
}

func (p *panel) ask(verb string, body any) answer {
	p.t.Helper()
	p.mu.Lock()
	p.id++
	id := p.id
	waiting := make(chan answer, 1)
	p.answers[id] = waiting
	p.mu.Unlock()
	line, err := json.Marshal(map[string]any{"id": id, "verb": verb, "body": body})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.connection.Write(append(line, '\n')); err != nil {
		p.t.Fatal(err)
	}
	select {
	case a := <-waiting:
		return a
	case <-time.After(patience):
		p.t.Fatalf("%s: no answer", verb)
		return answer{}
	}
}

func (p *panel) mustAsk(verb string, body, into any) {
	p.t.Helper()
	a := p.ask(verb, body)
	if !a.OK {
		p.t.Fatalf("%s: %v", verb, a.Error)
	}
	if into != nil {
		if err := json.Unmarshal(a.Body, into); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *panel) mustRefuse(code, verb string, body any) {
	p.t.Helper()
	if a := p.ask(verb, body); a.OK || a.Error == nil || a.Error.Code != code {
		p.t.Fatalf("%s: got %+v, want %s", verb, a, code)
	}
}

func (p *panel) hello() protocol.Hello {
	p.t.Helper()
	var hello protocol.Hello
	p.mustAsk("hello", struct{}{}, &hello)
	return hello
}

func (p *panel) apply(generation int64, relays ...protocol.Relay) {
	p.t.Helper()
	wish := protocol.Apply{Generation: generation, Relays: append([]protocol.Relay{}, relays...)}
	p.mustAsk("apply", wish, nil)
}

func (p *panel) snapshot() protocol.Snapshot {
	p.t.Helper()
	var snapshot protocol.Snapshot
	p.mustAsk("snapshot", protocol.Since{}, &snapshot)
	return snapshot
}

// await watches until a snapshot satisfies the condition and answers it.
func (p *panel) await(condition func(protocol.Snapshot) bool) protocol.Snapshot {
	p.t.Helper()
	if p.relays == nil {
		p.relays = make(map[int64]protocol.RelayStatus)
		p.mustAsk("watch", protocol.Since{}, nil)
	}
	deadline := time.After(patience)
	for {
		select {
		case event, ok := <-p.events:
			if !ok {
				p.t.Fatal("connection ended while watching")
			}
			for _, r := range event.Relays {
				p.relays[r.ID] = r
			}
			p.happened = append(p.happened, event.Events...)
			if condition(event) {
				return event
			}
		case <-deadline:
			p.t.Fatalf("waited in vain; last seen: %+v", p.snapshot())
		}
	}
}

// awaitRelay watches until one relay satisfies the condition, if it does not already.
func (p *panel) awaitRelay(id int64, condition func(protocol.RelayStatus) bool) protocol.RelayStatus {
	p.t.Helper()
	holds := func(protocol.Snapshot) bool {
		r, known := p.relays[id]
		return known && condition(r)
	}
	if !holds(protocol.Snapshot{}) {
		p.await(holds)
	}
	return p.relays[id]
}

// askRelay asks until one relay satisfies the condition: for counters, which
// are told with the next heartbeat and are no change by themselves.
func (p *panel) askRelay(id int64, condition func(protocol.RelayStatus) bool) protocol.RelayStatus {
	p.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		snapshot := p.snapshot()
		for _, r := range snapshot.Relays {
			if r.ID == id && condition(r) {
				return r
			}
		}
		if time.Now().After(until) {
			p.t.Fatalf("asked in vain; last seen: %+v", snapshot)
		}
	}
}

func (p *panel) awaitState(id int64, state protocol.State, reason string) protocol.RelayStatus {
	p.t.Helper()
	return p.awaitRelay(id, func(r protocol.RelayStatus) bool {
		return r.State == state && ((reason == "") == (r.Reason == nil)) && (r.Reason == nil || *r.Reason == reason)
	})
}

// awaitEvent gives the next event of a kind, after the last one it gave.
func (p *panel) awaitEvent(kind string) protocol.Event {
	p.t.Helper()
	var found *protocol.Event
	holds := func(protocol.Snapshot) bool {
		for i, e := range p.happened {
			if e.Kind == kind {
				found, p.happened = &e, p.happened[i+1:]
				return true
			}
		}
		return false
	}
	if !holds(protocol.Snapshot{}) {
		p.await(holds)
	}
	return *found
}

func eventsOf(s protocol.Snapshot, kind string) (events []protocol.Event) {
	for _, e := range s.Events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}
