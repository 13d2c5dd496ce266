package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"derpman/node/internal/node"
	"derpman/node/internal/protocol"
	"derpman/node/internal/relayimage"
)

// built is a binary of this program, or of one that passes for it.
type built struct {
	version string
	content []byte
}

func buildProgram(t *testing.T, version, fault string) built {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	flags, pkg := "-X derpman/node/internal/node.Version="+version, "derpman/node/cmd/derpman-node"
	if fault != "" {
		flags, pkg = "-X main.version="+version+" -X main.fault="+fault, "derpman/node/e2e/faulty"
	}
	command := exec.Command("go", "build", "-ldflags", flags, "-o", path, pkg)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return built{version, content}
}

func (b built) sum() string {
	sum := sha256.Sum256(b.content)
	return hex.EncodeToString(sum[:])
}

func (b built) chunks(sign ed25519.PrivateKey) []protocol.Upgrade {
	part := protocol.Upgrade{
		Version: b.version, Size: int64(len(b.content)), SHA256: b.sum(),
		Signature: ed25519.Sign(sign, node.SignedProgram(b.version, b.sum())),
	}
	var parts []protocol.Upgrade
	for data := range bytesInChunks(b.content, 512<<10) {
		part.Data = data
		parts = append(parts, part)
		part.Offset += int64(len(data))
	}
	return parts
}

// send upgrades and gives the answer to the last chunk.
func (b built) send(t *testing.T, p *panel) (last answer) {
	t.Helper()
	for _, part := range b.chunks(releaseKey) {
		if last = p.ask("upgrade", part); !last.OK {
			return last
		}
	}
	return last
}

// awaitUpgrade asks, over new connections, until the last upgrade has come to a result.
func (s *server) awaitUpgrade(result string) protocol.Hello {
	s.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		hello, ok := s.greet()
		if ok && hello.Upgrade != nil && hello.Upgrade.Result == result {
			return hello
		}
		if time.Now().After(until) {
			s.t.Fatalf("upgrade is not %s: %+v %+v", result, hello, hello.Upgrade)
		}
	}
}

// greet says hello once; a node that restarts hangs up.
func (s *server) greet() (hello protocol.Hello, ok bool) {
	ask := exec.Command(nodeBinary, "stdio", "--socket", s.socket())
	ask.Stdin = strings.NewReader(`{"id":1,"verb":"hello"}` + "\n")
	said, err := ask.Output()
	if err != nil || len(said) == 0 {
		return hello, false
	}
	a, err := protocol.Decode[struct {
		ID   int64          `json:"id"`
		OK   bool           `json:"ok"`
		Body protocol.Hello `json:"body"`
	}](said)
	return a.Body, err == nil && a.OK
}

// children counts the processes that run the node's program under this one.
func children(pid int) (count int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, thread := range threads {
		text, _ := os.ReadFile(thread)
		for _, child := range strings.Fields(string(text)) {
			command, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if strings.Contains(string(command), "\x00serve\x00") {
				count++
			}
		}
	}
	return count
}

func (s *server) awaitTrial() {
	s.t.Helper()
	for until := time.Now().Add(patience); children(s.command.Process.Pid) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			s.t.Fatal("no trial began")
		}
	}
}

func TestUpgradeTakesTheRelaysOverAsTheyRun(t *testing.T) {
	s := startServer(t)
	one, two, stranger := newDevice(), newDevice(), newDevice()
	relay := newRelay(t, 1, one, two)
	p := s.panel()
	p.apply(3, relay)
	before := p.awaitRelay(1, proven)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, make([]byte, 1000))
	process := s.processOf(1)

	second := buildProgram(t, "0.2.0", "")
	if last := second.send(t, p); !last.OK {
		t.Fatal(last.Error)
	}
	hello := s.awaitUpgrade(protocol.UpgradeConfirmed)
	if hello.Version != "0.2.0" || hello.Program != second.sum() || hello.Generation != 3 {
		t.Fatalf("not the new one: %+v", hello)
	}
	a.send(two, b, make([]byte, 500))
	p = s.panel()
	after := p.askRelay(1, func(r protocol.RelayStatus) bool { return ready(r) && r.TotalSentBytes == 1500 })
	if *after.StartID != *before.StartID || s.processOf(1) != process || after.Restarts != before.Restarts {
		t.Fatalf("another relay: %+v, before %+v", after, before)
	}
	if !a.isOpen() || !b.isOpen() {
		t.Fatal("a device lost its connection")
	}
	stranger.mustBeRefused(t, relay)
	one.mustDial(t, relay).send(two, b, []byte("admitted by the new one"))

	// Once more, from a program that is watched over already.
	third := buildProgram(t, "0.3.0", "")
	if last := third.send(t, p); !last.OK {
		t.Fatal(last.Error)
	}
	for s.awaitUpgrade(protocol.UpgradeConfirmed).Version != "0.3.0" {
		time.Sleep(100 * time.Millisecond)
	}
	if count := children(s.command.Process.Pid); count != 1 {
		t.Fatalf("%d programs under the first", count)
	}
	binaries, _ := filepath.Glob(filepath.Join(s.state(), "program", "derpman-node-*"))
	if len(binaries) != 1 {
		t.Fatalf("binaries left: %v", binaries)
	}

	// The installed binary, started anew, makes way for the upgraded one.
	s.kill()
	s.start()
	p = s.panel()
	if hello := p.hello(); hello.Version != "0.3.0" {
		t.Fatalf("version %s after a restart", hello.Version)
	}
	p.awaitRelay(1, ready)
	if s.processOf(1) != process || !a.isOpen() {
		t.Fatal("the relay did not run on")
	}
}

func TestProgramThatFailsIsRolledBack(t *testing.T) {
	for fault, reason := range map[string]string{"ends": "status 3", "hangs": "does not answer"} {
		t.Run(fault, func(t *testing.T) {
			s := startServer(t, "--trial-seconds", "8")
			one := newDevice()
			relay := newRelay(t, 1, one)
			p := s.panel()
			p.apply(3, relay)
			p.awaitRelay(1, proven)
			a, process := one.mustDial(t, relay), s.processOf(1)
			faulty := buildProgram(t, "0.2.0", fault)
			if last := faulty.send(t, p); !last.OK {
				t.Fatal(last.Error)
			}
			hello := s.awaitUpgrade(protocol.UpgradeRolledBack)
			if hello.Version != node.Version || !strings.Contains(hello.Upgrade.Reason, reason) {
				t.Fatalf("version %s, upgrade %+v", hello.Version, hello.Upgrade)
			}
			p = s.panel()
			p.awaitRelay(1, ready)
			if s.processOf(1) != process || !a.isOpen() {
				t.Fatal("the relay did not run on")
			}
			// Another one may follow, and the former leaves nothing.
			second := buildProgram(t, "0.2.1", "")
			if last := second.send(t, p); !last.OK {
				t.Fatal(last.Error)
			}
			if hello := s.awaitUpgrade(protocol.UpgradeConfirmed); hello.Version != "0.2.1" {
				t.Fatalf("version %s", hello.Version)
			}
		})
	}
}

func TestTrialThatIsCutShortIsRolledBack(t *testing.T) {
	s := startServer(t, "--trial-seconds", "60")
	p := s.panel()
	p.apply(3, newRelay(t, 1))
	p.awaitRelay(1, ready)
	process := s.processOf(1)
	faulty := buildProgram(t, "0.2.0", "hangs")
	if last := faulty.send(t, p); !last.OK {
		t.Fatal(last.Error)
	}
	s.awaitTrial()
	s.kill()
	s.start()
	hello := s.awaitUpgrade(protocol.UpgradeRolledBack)
	if hello.Version != node.Version || !strings.Contains(hello.Upgrade.Reason, "interrupted") {
		t.Fatalf("version %s, upgrade %+v", hello.Version, hello.Upgrade)
	}
	s.panel().awaitRelay(1, ready)
	if s.processOf(1) != process {
		t.Fatal("the relay did not run on")
	}
}

func TestNodeToldToEndDuringATrialEnds(t *testing.T) {
	s := startServer(t, "--trial-seconds", "60")
	p := s.panel()
	faulty := buildProgram(t, "0.2.0", "hangs")
	if last := faulty.send(t, p); !last.OK {
		t.Fatal(last.Error)
	}
	s.awaitTrial()
	time.Sleep(100 * time.Millisecond) // the child has to be more than a fork of the node
	s.command.Process.Signal(syscall.SIGTERM)
	if err := s.command.Wait(); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.awaitTrial() // it is tried again; cut that short
	s.kill()
	s.start()
	s.awaitUpgrade(protocol.UpgradeRolledBack)
}

func TestProgramsThatMustNotRunAreRefused(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	good := buildProgram(t, "0.2.0", "ends")
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.mustRefuse("upgrade.bad_signature", "upgrade", good.chunks(stranger)[0])
	renamed := good.chunks(releaseKey)[0]
	renamed.Version = "0.3.0"
	p.mustRefuse("upgrade.bad_signature", "upgrade", renamed)
	p.mustRefuse("upgrade.wrong_offset", "upgrade", good.chunks(releaseKey)[1])

	old := built{"0.0.9", good.content}
	p.mustRefuse("upgrade.older", "upgrade", old.chunks(releaseKey)[0])
	for code, b := range map[string]built{
		"upgrade.other_version":    {"0.2.1", good.content},
		"upgrade.does_not_run":     {"0.2.0", []byte("no program at all")},
		"upgrade.settings_refused": buildProgram(t, "0.2.0", "settings"),
	} {
		if last := b.send(t, p); last.OK || last.Error.Code != code {
			t.Errorf("got %+v, want %s", last.Error, code)
		}
	}
	if hello := p.hello(); hello.Version != node.Version || hello.Upgrade != nil {
		t.Fatalf("something happened: %+v", hello)
	}
	if _, err := os.Stat(filepath.Join(s.state(), "program.part")); err == nil {
		t.Error("a part is left")
	}
}

func TestRelaysAreMadeAnewOnAnotherImageOneByOneAndBack(t *testing.T) {
	s := startServer(t)
	one, two := newRelay(t, 1), newRelay(t, 2)
	p := s.panel()
	p.apply(1, one, two)
	on := func(label string) func(protocol.RelayStatus) bool {
		return func(r protocol.RelayStatus) bool { return proven(r) && r.Label != nil && *r.Label == label }
	}
	p.awaitRelay(1, on(label))
	p.awaitRelay(2, on(label))
	process := s.processOf(2)

	other := sendOtherImage(t, p, nothingElse)
	p.mustRefuse("remake.other_image", "remake", protocol.Remake{Relay: 1, Label: label})
	p.mustRefuse("remake.no_relay", "remake", protocol.Remake{Relay: 3, Label: other})
	p.mustAsk("remake", protocol.Remake{Relay: 1, Label: other}, nil)
	p.awaitRelay(1, on(other))
	first := s.processOf(1)
	p.mustAsk("remake", protocol.Remake{Relay: 1, Label: other}, nil)
	time.Sleep(300 * time.Millisecond)
	if s.processOf(1) != first {
		t.Fatal("made anew though it was on the image")
	}
	if s.processOf(2) != process {
		t.Fatal("the other relay was touched")
	}

	p.mustRefuse("image.not_there", "use_image", protocol.UseImage{Label: "derper-1.0.0-0123456789ab"})
	p.mustAsk("use_image", protocol.UseImage{Label: label}, nil)
	p.mustAsk("remake", protocol.Remake{Relay: 1, Label: label}, nil)
	p.awaitRelay(1, on(label))
	if s.processOf(2) != process {
		t.Fatal("the other relay was touched")
	}
}

func TestContainersAreMadeAnewOnAnotherImageAndBackFromABadOne(t *testing.T) {
	_, _, p := startDocker(t)
	p.apply(1, newRelayAt(t, 1, publicAddress), newRelayAt(t, 2, publicAddress))
	on := func(label string) func(protocol.RelayStatus) bool {
		return func(r protocol.RelayStatus) bool { return proven(r) && r.Label != nil && *r.Label == label }
	}
	p.awaitRelay(1, on(label))
	second := *p.awaitRelay(2, on(label)).StartID
	good := sendOtherImage(t, p, nothingElse)
	p.mustAsk("remake", protocol.Remake{Relay: 1, Label: good}, nil)
	p.awaitRelay(1, on(good))

	bad := sendOtherImage(t, p, illegalInstruction)
	p.mustAsk("remake", protocol.Remake{Relay: 1, Label: bad}, nil)
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return r.State == protocol.Failed })
	p.mustAsk("use_image", protocol.UseImage{Label: good}, nil)
	p.mustAsk("remake", protocol.Remake{Relay: 1, Label: good}, nil)
	p.awaitRelay(1, on(good)) // though a container of the bad image was there to be started again
	if now := *p.awaitRelay(2, on(label)).StartID; now != second {
		t.Fatal("the other relay was touched")
	}
}

func nothingElse(binary []byte) []byte { return append(binary, 0) }

// illegalInstruction makes a derper by all that is written in it, which ends at once.
func illegalInstruction(binary []byte) []byte {
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		panic(err)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_LOAD && program.Vaddr <= file.Entry && file.Entry < program.Vaddr+program.Filesz {
			copy(binary[program.Off+file.Entry-program.Vaddr:], "\x0f\x0b")
		}
	}
	return binary
}

// sendOtherImage gives the node an image with another derper and answers its label.
func sendOtherImage(t *testing.T, p *panel, change func([]byte) []byte) string {
	t.Helper()
	folder := t.TempDir()
	content, err := os.ReadFile(derperBinary)
	if err != nil {
		t.Fatal(err)
	}
	derper := filepath.Join(folder, "derper")
	if err := os.WriteFile(derper, change(content), 0o755); err != nil {
		t.Fatal(err)
	}
	before, beforeLabel := archive, label
	defer func() { archive, label = before, beforeLabel }()
	archive = filepath.Join(folder, "relay.tar")
	if label, err = relayimage.Write(archive, derper, "amd64"); err != nil {
		t.Fatal(err)
	}
	for _, part := range imageChunks(t, releaseKey, "") {
		p.mustAsk("image", part, nil)
	}
	return label
}
