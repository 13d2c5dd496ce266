// Package node makes a whole server be what the panel wants of it.
package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"derpman/node/internal/admission"
	"derpman/node/internal/config"
	"derpman/node/internal/disk"
	"derpman/node/internal/host"
	"derpman/node/internal/journal"
	"derpman/node/internal/launch"
	"derpman/node/internal/metering"
	"derpman/node/internal/protocol"
	"derpman/node/internal/relay"
	"derpman/node/internal/runtime"
	"derpman/node/internal/survey"
)

// Version of this program; tests build others with the linker's -X.
var Version = "0.1.0"

// ErrRestart ends Run when another binary is to take over.
var ErrRestart = errors.New("the node restarts")

// Node is the state of one server and all that works on it.
type Node struct {
	config    *config.Config
	ports     protocol.PortRange
	release   ed25519.PublicKey
	runtime   runtime.Runtime
	env       *relay.Surroundings
	journal   *journal.Journal
	ledger    *metering.Ledger
	admission *admission.Table
	admitAt   net.Listener
	meter     *host.Meter
	changes   *changes
	listeners *survey.Listeners
	lock      *os.File
	ctx       context.Context // of Run

	applying  sync.Mutex // one apply, listen or retire at a time
	image     intake
	program   intake
	arguments []string      // this program was started with
	sum       string        // SHA-256 of this program
	ends      bool          // an upgrade is complete; guarded by program.mu
	restart   chan struct{} // closed when the node is to begin anew

	mu         sync.Mutex
	generation int64
	relays     map[int64]*relay.Relay
	removing   map[string]bool // foreign instances, by handle
	running    sync.WaitGroup
}

// Open reads the state of the server from disk. Nothing runs yet. The
// arguments are those an upgraded program would be started with.
func Open(c *config.Config, rt runtime.Runtime, arguments []string) (*Node, error) {
	n := &Node{
		config: c, runtime: rt, arguments: arguments, sum: launch.Sum("/proc/self/exe"), restart: make(chan struct{}),
		meter: host.NewMeter(c.State), changes: newChanges(),
		listeners: survey.NewListeners(), relays: make(map[int64]*relay.Relay), removing: make(map[string]bool),
	}
	var err error
	if n.ports, err = c.PortRange(); err != nil {
		return nil, err
	}
	if n.release, err = c.Release(); err != nil {
		return nil, err
	}
	n.image = intake{kind: "image", path: n.path("image.part"), release: n.release}
	n.program = intake{kind: "upgrade", path: n.path("program.part"), release: n.release}
	if err := os.MkdirAll(n.path("relays"), 0o700); err != nil {
		return nil, err
	}
	if n.lock, err = lockState(n.path("lock")); err != nil {
		return nil, err
	}
	n.journal, err = journal.Open(n.path("journal.jsonl"), randomHex, func() { n.changes.note(0) })
	if err != nil {
		return nil, err
	}
	n.ledger, err = metering.OpenLedger(n.path("counters.json"), n.journal.Finished)
	if err != nil {
		return nil, err
	}
	if err := n.openAdmission(); err != nil {
		return nil, err
	}
	n.env = &relay.Surroundings{
		Runtime: rt, Admission: n.admission, AdmitAt: "http://" + n.admitAt.Addr().String(),
		Journal: n.journal, Ledger: n.ledger, Folder: n.path("relays"),
		Slots: make(chan struct{}, 8), Looks: make(chan struct{}, 4),
		StopLast: c.StopRelays, Changed: n.changes.note, Gone: n.gone,
	}
	return n, nil
}

func (n *Node) path(name string) string { return filepath.Join(n.config.State, name) }

// lockState keeps a second node off the same state.
func lockState(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another node runs on this state: %w", err)
	}
	return file, nil
}

// Run does the node's work until the context ends. Relays run on after that.
// started is called when requests can be taken.
func (n *Node) Run(ctx context.Context, started func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.ctx = ctx
	var desired protocol.Apply
	if _, err := disk.ReadJSON(n.path("desired.json"), &desired); err != nil {
		return err
	}
	n.mu.Lock()
	n.generation = desired.Generation
	for i := range desired.Relays {
		n.want(&desired.Relays[i])
	}
	n.mu.Unlock()
	server := admission.NewServer(n.admission)
	go server.Listen(ctx, func(k admission.Knock) { n.journal.Knock(k.Relay, k.Key, k.Address, k.At) })
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, n.admitAt) }()
	n.findTraces()
	n.running.Go(func() { n.followRuntime(ctx) })
	started()
	err := n.keepHouse(ctx, served)
	cancel()
	n.running.Wait()
	n.ledger.Save()
	n.journal.Sync()
	return err
}

// keepHouse saves counters, syncs the journal and sweeps until the context ends.
func (n *Node) keepHouse(ctx context.Context, served <-chan error) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for tick := 1; ; tick++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("admission ended: %w", err)
		case <-n.restart:
			n.env.StopLast = false // they run on under the other program
			return ErrRestart
		case <-second.C:
		}
		n.ledger.Save()
		n.journal.Sync()
		if tick%30 == 0 {
			n.sweep(ctx)
			if trimmer, ok := n.runtime.(interface{ TrimLogs() }); ok {
				trimmer.TrimLogs()
			}
		}
	}
}

// followRuntime wakes relays whose process ended.
func (n *Node) followRuntime(ctx context.Context) {
	n.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-n.runtime.Events(ctx):
			n.mu.Lock()
			known := n.relays[id]
			n.mu.Unlock()
			if known != nil {
				known.Wake()
			} else {
				n.sweep(ctx)
			}
		}
	}
}

// sweep gives everything of ours that nobody wants a relay that removes it,
// and wakes those that are not as they should be: what an event missed is
// found here.
func (n *Node) sweep(ctx context.Context) {
	found, err := n.runtime.List(ctx)
	if err != nil {
		if ctx.Err() == nil {
			slog.Warn("runtime cannot be asked", "error", err)
		}
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, instance := range found {
		switch {
		case n.removing[instance.Handle]:
		case instance.Spec == "": // it has our name and nothing else of ours
			n.removing[instance.Handle] = true
			n.running.Go(func() { n.removeForeign(ctx, instance) })
		case n.relays[instance.Relay] == nil:
			n.add(relay.New(instance.Relay, nil, n.env))
		}
	}
	of := make(map[int64][]runtime.Instance)
	for _, instance := range found {
		of[instance.Relay] = append(of[instance.Relay], instance)
	}
	for id, r := range n.relays {
		r.Compare(of[id])
	}
}

func (n *Node) removeForeign(ctx context.Context, instance runtime.Instance) {
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.removing, instance.Handle)
	}()
	if err := n.runtime.Remove(ctx, instance); err != nil {
		if ctx.Err() == nil {
			slog.Error("foreign container not removed", "handle", instance.Handle, "error", err)
		}
		return
	}
	n.journal.Foreign(instance.Handle, instance.Relay, instance.Generation)
}

// findTraces has relays that were removed from the wish just before the node
// ended, and whose accounts or files are still there, removed for good.
func (n *Node) findTraces() {
	ids := n.ledger.Known()
	folders, _ := os.ReadDir(n.path("relays"))
	for _, folder := range folders {
		if id, err := strconv.ParseInt(folder.Name(), 10, 64); err == nil && id > 0 {
			ids = append(ids, id)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		if n.relays[id] == nil {
			n.add(relay.New(id, nil, n.env))
		}
	}
}

// want changes or adds a relay; n.mu is held.
func (n *Node) want(wanted *protocol.Relay) {
	if known := n.relays[wanted.ID]; known != nil {
		known.Want(wanted)
		return
	}
	n.add(relay.New(wanted.ID, wanted, n.env))
}

// add brings a relay to life; n.mu is held.
func (n *Node) add(r *relay.Relay) {
	n.relays[r.ID] = r
	n.changes.note(r.ID)
	n.running.Go(func() { r.Run(n.ctx) })
}

// gone takes a relay of which nothing is left out of the books, unless it is
// wanted again.
func (n *Node) gone(r *relay.Relay) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Wanted() != nil {
		return false
	}
	delete(n.relays, r.ID)
	n.admission.Remove(r.ID)
	n.ledger.Forget(r.ID)
	n.changes.forget(r.ID)
	n.journal.Removed(r.ID)
	return true
}

// identity is what running relays have on their command line.
type identity struct {
	Secret        string `json:"secret"`
	AdmissionPort int    `json:"admission_port"`
}

func (n *Node) openAdmission() error {
	var me identity
	if _, err := disk.ReadJSON(n.path("identity.json"), &me); err != nil {
		return err
	}
	if me.Secret == "" {
		me.Secret = randomHex()
	}
	listener, err := n.listenAdmission(me.AdmissionPort)
	if err != nil {
		return err
	}
	n.admitAt = listener
	n.admission = admission.NewTable([]byte(me.Secret))
	me.AdmissionPort = listener.Addr().(*net.TCPAddr).Port
	return disk.ReplaceJSON(n.path("identity.json"), me)
}

// listenAdmission takes the port that running relays know. Only when someone
// else keeps it is another chosen, which makes all relays anew.
func (n *Node) listenAdmission(before int) (net.Listener, error) {
	address, portText, err := net.SplitHostPort(n.config.Admission)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(address); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("admission address %s is not loopback", n.config.Admission)
	}
	if portText != "0" {
		return net.Listen("tcp", n.config.Admission)
	}
	on := func(port int) (net.Listener, error) {
		return net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	}
	for until := time.Now().Add(5 * time.Second); before != 0 && time.Now().Before(until); {
		listener, err := on(before)
		if !errors.Is(err, unix.EADDRINUSE) {
			return listener, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	// Below the ports that Linux gives to outgoing connections, one of which
	// might have it when the node comes back.
	for port := 9700; port < 10700; port++ {
		if n.ports.Contains(port) && n.config.Ports != "1024-65535" {
			continue
		}
		if listener, err := on(port); err == nil {
			return listener, nil
		}
	}
	return nil, errors.New("no free port for admission")
}

func randomHex() string {
	var random [16]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}
