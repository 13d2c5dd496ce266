// Package e2e tests derpman-node as a panel and as devices see it: the real
// binary, real derper, real connections.
package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
