package relay

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"derpman/node/internal/admission"
	"derpman/node/internal/journal"
	"derpman/node/internal/metering"
	"derpman/node/internal/protocol"
	"derpman/node/internal/runtime"
)

// bench is a runtime whose processes end when a test says so.
type bench struct {
	runtime.Runtime
	label  string
	starts int
	made   []runtime.Instance
	during func() // called while a process is being started
}

func (*bench) Owner() (int, int, bool) { return 0, 0, false }

func (b *bench) Find(context.Context, int64) ([]runtime.Instance, error) { return b.made, nil }

func (b *bench) Start(_ context.Context, spec runtime.Spec) (runtime.Instance, error) {
	b.starts++
	instance := runtime.Instance{
		Relay: spec.Relay, Generation: spec.Generation, Spec: spec.Hash(), Label: b.label,
		StartID: strconv.Itoa(b.starts), StartedAt: time.Now(), Condition: runtime.Running,
	}
	b.made = []runtime.Instance{instance}
	if b.during != nil {
		b.during()
	}
	return instance, nil
}

func (b *bench) Remove(context.Context, runtime.Instance) error {
	b.made = nil
	return nil
}

// benchRelay is a relay whose goroutine is the test.
func benchRelay(t *testing.T, b *bench) *Relay {
	t.Helper()
	folder := t.TempDir()
	notes, err := journal.Open(filepath.Join(folder, "journal"), func() string { return "epoch" }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := metering.OpenLedger(filepath.Join(folder, "ledger"), func(protocol.FinishedStart) {})
	if err != nil {
		t.Fatal(err)
	}
	r := New(1, &protocol.Relay{
		ID: 1, Generation: 1, Address: "127.0.0.1", Port: freePort(t), StunPort: freePort(t), Running: true,
	}, &Surroundings{
		Runtime: b, Admission: admission.NewTable([]byte("secret")), AdmitAt: "http://127.0.0.1:1",
		Journal: notes, Ledger: ledger, Folder: folder, Slots: make(chan struct{}, 1),
		Looks: make(chan struct{}, 1), Changed: func(int64) {},
	})
	t.Cleanup(func() {
		if r.session != nil {
			r.session.close()
		}
	})
	return r
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// A relay that ends again and again rests ever longer; another image must not wait for that, not
// even when it is asked for while the last start's end is not yet noticed.
func TestAnotherImageDoesNotWaitForTheOneThatLoops(t *testing.T) {
	b := &bench{label: "bad"}
	r := benchRelay(t, b)
	r.step(t.Context())
	b.made[0].Condition = runtime.Ended
	r.failures = 2 * looping
	b.label = "good"
	r.Remake("good")
	r.step(t.Context())
	if b.starts != 2 || r.session == nil || r.session.instance.Label != "good" {
		t.Fatalf("after %d starts the next is not before %s", b.starts, time.Until(r.notBefore))
	}
}

// What is asked for while a process is being started is no answer of that start's.
func TestAnotherImageIsNotForgottenThatIsAskedForDuringAStart(t *testing.T) {
	b := &bench{label: "bad"}
	r := benchRelay(t, b)
	b.during = func() {
		b.during, b.label = nil, "good"
		r.Remake("good")
	}
	r.step(t.Context())
	b.made[0].Condition = runtime.Ended
	r.failures = 2 * looping
	r.step(t.Context())
	if b.starts != 2 || r.session == nil || r.session.instance.Label != "good" {
		t.Fatalf("after %d starts the next is not before %s", b.starts, time.Until(r.notBefore))
	}
}

func TestARelayThatLoopsRestsEverLonger(t *testing.T) {
	b := &bench{label: "bad"}
	r := benchRelay(t, b)
	r.step(t.Context())
	b.made[0].Condition = runtime.Ended
	r.failures = 2 * looping
	r.step(t.Context())
	if b.starts != 1 || time.Until(r.notBefore) < 20*time.Second {
		t.Fatalf("after %d starts the next is not before %s", b.starts, time.Until(r.notBefore))
	}
}
