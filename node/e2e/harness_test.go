// Package e2e tests derpman-node as a panel and as devices see it: the real
// binary, real derper, real connections.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/types/key"

	"derpman/node/internal/client"
	"derpman/node/internal/protocol"
	"derpman/node/internal/relayimage"
)

// patience bounds every wait; nothing here takes nearly as long.
const patience = 20 * time.Second

var (
	nodeBinary, derperBinary string
	archive, label           string // relay image of derperBinary
	releaseKey               ed25519.PrivateKey
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "derpman-node-e2e-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		if err := build(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build makes what is tested. DERPMAN_DERPER spares building derper;
// DERPMAN_RACE builds the node with the race detector.
func build(folder string) (err error) {
	goBuild := func(output, pkg string, flags ...string) error {
		command := exec.Command("go", append(append([]string{"build"}, flags...), "-o", output, pkg)...)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if len(flags) > 0 {
			command.Env = os.Environ()
		}
		if text, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", pkg, err, text)
		}
		return nil
	}
	nodeBinary = filepath.Join(folder, "derpman-node")
	var race []string
	if os.Getenv("DERPMAN_RACE") != "" {
		race = []string{"-race"}
	}
	if err := goBuild(nodeBinary, "derpman/node/cmd/derpman-node", race...); err != nil {
		return err
	}
	if derperBinary = os.Getenv("DERPMAN_DERPER"); derperBinary == "" {
		derperBinary = filepath.Join(folder, "derper")
		if err := goBuild(derperBinary, "tailscale.com/cmd/derper"); err != nil {
			return err
		}
	}
	_, releaseKey, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	archive = filepath.Join(folder, "relay.tar")
	label, err = relayimage.Write(archive, derperBinary, "amd64")
	return err
}

// server is one node on this machine, with a state folder that outlives its process.
type server struct {
	t       *testing.T
	folder  string
	flags   []string
	command *exec.Cmd
	log     *bytes.Buffer
}

func (s *server) state() string  { return filepath.Join(s.folder, "state") }
func (s *server) socket() string { return filepath.Join(s.folder, "run", "node.sock") }

// startServer runs a node of the process runtime until the test ends.
func startServer(t *testing.T, flags ...string) *server {
	return startServerAs(t, append([]string{"--runtime", "process", "--derper", derperBinary}, flags...)...)
}

func startServerAs(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{t: t, folder: t.TempDir()}
	public := releaseKey.Public().(ed25519.PublicKey)
	s.flags = append([]string{
		"serve", "--state", s.state(), "--socket", s.socket(),
		"--release-key", base64.StdEncoding.EncodeToString(public),
		"--authorized-keys", filepath.Join(s.folder, "authorized_keys"),
	}, flags...)
	s.start()
	t.Cleanup(s.end)
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.log = new(bytes.Buffer)
	s.command = exec.Command(nodeBinary, s.flags...)
	s.command.Stderr = s.log
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) kill() {
	s.command.Process.Kill()
	s.command.Wait()
}

// end leaves nothing behind: the relays are removed as a panel would.
func (s *server) end() {
	if s.t.Failed() {
		s.t.Logf("log of the node:\n%s", s.log)
	}
	p := s.panel()
	generation := p.hello().Generation
	p.mustAsk("apply", protocol.Apply{Generation: max(1, generation), Relays: []protocol.Relay{}}, nil)
	for until := time.Now().Add(patience); len(p.snapshot().Relays) > 0 && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	s.command.Process.Signal(os.Interrupt)
	s.command.Wait()
	if contains(s.log.Bytes(), "DATA RACE") {
		s.t.Errorf("the node races:\n%s", s.log)
	}
}

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

// newRelay is a wish for a relay on loopback with free ports.
func newRelay(t *testing.T, id int64, devices ...*device) protocol.Relay {
	t.Helper()
	return newRelayAt(t, id, "127.0.0.1", devices...)
}

func newRelayAt(t *testing.T, id int64, address string, devices ...*device) protocol.Relay {
	t.Helper()
	certificate, private := newPair(t, address)
	var mesh [32]byte
	rand.Read(mesh[:])
	relay := protocol.Relay{
		ID: id, Generation: 1, Address: address, Port: freePort(t), StunPort: freePort(t),
		Certificate: certificate, PrivateKey: private, MeshKey: hex.EncodeToString(mesh[:]),
		Running: true, Devices: []protocol.Device{},
	}
	for _, d := range devices {
		relay.Devices = append(relay.Devices, protocol.Device{Key: d.public()})
	}
	return relay
}

func newPair(t *testing.T, address string) (certificate, private string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: address},
		IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore:   time.Now().Add(-48 * time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

var portMu sync.Mutex
var nextPort = 21000 + os.Getpid()%500*8

// freePort is below the ports of outgoing connections and not given twice.
func freePort(t *testing.T) int {
	t.Helper()
	portMu.Lock()
	defer portMu.Unlock()
	for range 2000 {
		nextPort++
		tcp, err := net.Listen("tcp", fmt.Sprintf(":%d", nextPort))
		if err != nil {
			continue
		}
		tcp.Close()
		udp, err := net.ListenPacket("udp", fmt.Sprintf(":%d", nextPort))
		if err != nil {
			continue
		}
		udp.Close()
		return nextPort
	}
	t.Fatal("no free port")
	return 0
}

// device is a Tailscale client's DERP side.
type device struct{ private key.NodePrivate }

func newDevice() *device { return &device{private: key.NewNode()} }

func (d *device) public() string { return d.private.Public().String() }

// link is a device's connection to a relay.
type link struct {
	t      *testing.T
	client *derphttp.Client
	got    chan []byte
	closed chan struct{}
}

func targetOf(relay protocol.Relay) client.Target {
	return client.Target{Host: "127.0.0.1", Port: relay.Port, StunPort: relay.StunPort, Name: relay.Address, Pin: relay.Pin(), MeshKey: relay.MeshKey}
}

// dial connects and says whether the relay let the device in.
func (d *device) dial(t *testing.T, relay protocol.Relay) (*link, bool) {
	t.Helper()
	target := targetOf(relay)
	c, err := target.DERP(d.private, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		c.Close()
		return nil, false
	}
	if _, err := c.Recv(); err != nil { // server info comes after admission
		c.Close()
		return nil, false
	}
	l := &link{t: t, client: c, got: make(chan []byte, 1024), closed: make(chan struct{})}
	t.Cleanup(func() { c.Close() })
	go func() {
		defer close(l.closed)
		for {
			message, err := c.Recv()
			if err != nil {
				c.Close()
				return
			}
			if packet, ok := message.(derp.ReceivedPacket); ok {
				l.got <- bytes.Clone(packet.Data)
			}
		}
	}()
	return l, true
}

func (d *device) mustDial(t *testing.T, relay protocol.Relay) *link {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if l, ok := d.dial(t, relay); ok {
			return l
		}
	}
	t.Fatal("device was not let in")
	return nil
}

func (d *device) mustBeRefused(t *testing.T, relay protocol.Relay) {
	t.Helper()
	if _, ok := d.dial(t, relay); ok {
		t.Fatal("device was let in")
	}
}

// send passes a payload to another device and waits until it is there.
func (l *link) send(to *device, via *link, payload []byte) {
	l.t.Helper()
	if err := l.client.Send(to.private.Public(), payload); err != nil {
		l.t.Fatal(err)
	}
	select {
	case got := <-via.got:
		if !bytes.Equal(got, payload) {
			l.t.Fatal("payload changed on the way")
		}
	case <-time.After(patience):
		l.t.Fatal("payload did not arrive")
	}
}

func (l *link) awaitClosed() {
	l.t.Helper()
	select {
	case <-l.closed:
	case <-time.After(patience):
		l.t.Fatal("connection was not closed")
	}
}

func (l *link) isOpen() bool {
	select {
	case <-l.closed:
		return false
	default:
		return true
	}
}

// processOf is the derper of a relay of the server, 0 for none.
func (s *server) processOf(relay int64) int {
	s.t.Helper()
	mark := fmt.Sprintf("%s/relays/%d/derper.key", s.state(), relay)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		command, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && strings.Contains(string(command), mark) {
			var pid int
			if _, err := fmt.Sscan(entry.Name(), &pid); err == nil {
				return pid
			}
		}
	}
	return 0
}
