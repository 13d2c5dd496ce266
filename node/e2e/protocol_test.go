package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"derpman/node/internal/node"
	"derpman/node/internal/protocol"
)

func contains(content []byte, text string) bool { return bytes.Contains(content, []byte(text)) }

// occupy takes a port until release.
func occupy(t *testing.T, port int) (release func()) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	return func() { listener.Close() }
}

// raw sends lines as they are and gives the answers.
func (s *server) raw(t *testing.T, lines string) []answer {
	t.Helper()
	s.panel() // the socket is there
	connection, err := net.Dial("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	go func() {
		connection.Write([]byte(lines))
		connection.(*net.UnixConn).CloseWrite()
	}()
	var answers []answer
	for decoder := json.NewDecoder(connection); ; {
		var a answer
		if decoder.Decode(&a) != nil {
			return answers
		}
		answers = append(answers, a)
	}
}

func TestHostileLinesAreRefusedAndHarmNobody(t *testing.T) {
	s := startServer(t)
	long := `{"id":1,"verb":"` + strings.Repeat("x", protocol.MaxLine) + `"}`
	for name, line := range map[string]string{
		"no JSON":          "hello",
		"binary":           "\x00\xff\xfe\x01",
		"deep":             strings.Repeat(`{"id":`, 100_000),
		"deep list":        strings.Repeat("[", 200_000),
		"unknown verb":     `{"id":1,"verb":"exec","body":{}}`,
		"unknown member":   `{"id":1,"verb":"hello","body":{},"shell":"sh"}`,
		"unknown in body":  `{"id":1,"verb":"hello","body":{"shell":"sh"}}`,
		"repeated member":  `{"id":1,"verb":"hello","verb":"retire","body":{}}`,
		"other case":       `{"ID":1,"Verb":"hello"}`,
		"wrong type":       `{"id":"1","verb":"hello"}`,
		"null verb":        `{"id":1,"verb":null}`,
		"float id":         `{"id":1.5,"verb":"hello"}`,
		"invalid UTF-8":    "{\"id\":1,\"verb\":\"\xff\"}",
		"missing relays":   `{"id":1,"verb":"apply","body":{"generation":1}}`,
		"null relays":      `{"id":1,"verb":"apply","body":{"generation":1,"relays":null}}`,
		"negative":         `{"id":1,"verb":"listen","body":{"ports":[-1],"token":"abcdefgh","seconds":1}}`,
		"body not object":  `{"id":1,"verb":"hello","body":[]}`,
		"too long":         long,
		"huge number":      `{"id":1,"verb":"apply","body":{"generation":99999999999999999999,"relays":[]}}`,
		"relay not object": `{"id":1,"verb":"apply","body":{"generation":1,"relays":[1]}}`,
		"null relay":       `{"id":1,"verb":"apply","body":{"generation":1,"relays":[null]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			answers := s.raw(t, line+"\n"+`{"id":2,"verb":"hello"}`+"\n")
			refused, served := false, false
			for _, a := range answers { // in any order: requests are answered side by side
				refused = refused || (a.ID != 2 && !a.OK && a.Error != nil && a.Error.Code == "protocol.invalid")
				served = served || (a.ID == 2 && a.OK)
			}
			if !refused || len(answers) > 2 {
				t.Errorf("not refused: %+v", answers)
			}
			if served == (name == "too long") {
				t.Errorf("served after that: %v", served)
			}
		})
	}
	if s.panel().hello().Generation != 0 {
		t.Fatal("something was accepted")
	}
}

func TestWrongWishesChangeNothing(t *testing.T) {
	s := startServer(t, "--ports", "20000-32000")
	p := s.panel()
	good := newRelay(t, 1)
	p.apply(1, good)
	running := p.awaitRelay(1, ready)
	other := newRelay(t, 2)
	for name, spoil := range map[string]func(r *protocol.Relay){
		"port outside":   func(r *protocol.Relay) { r.Port = 19999 },
		"port taken":     func(r *protocol.Relay) { r.Port = good.Port },
		"stun taken":     func(r *protocol.Relay) { r.StunPort = good.StunPort },
		"id twice":       func(r *protocol.Relay) { r.ID = 1 },
		"no id":          func(r *protocol.Relay) { r.ID = 0 },
		"address":        func(r *protocol.Relay) { r.Address = "relay.example" },
		"not in SAN":     func(r *protocol.Relay) { r.Address = "127.0.0.2" },
		"zone":           func(r *protocol.Relay) { r.Address = "fe80::1%lo" },
		"certificate":    func(r *protocol.Relay) { r.Certificate = "no" },
		"chain":          func(r *protocol.Relay) { r.Certificate += good.Certificate },
		"key of another": func(r *protocol.Relay) { r.PrivateKey = good.PrivateKey },
		"mesh key":       func(r *protocol.Relay) { r.MeshKey = r.MeshKey[1:] },
		"mesh key form":  func(r *protocol.Relay) { r.MeshKey = strings.Repeat("g", 64) },
		"rate":           func(r *protocol.Relay) { r.RateBytesPerSecond = -1 },
		"quota":          func(r *protocol.Relay) { r.Quota = &protocol.Quota{LimitBytes: 1, AtLimit: "explode"} },
		"no throttle":    func(r *protocol.Relay) { r.Quota = &protocol.Quota{LimitBytes: 1, AtLimit: "throttle"} },
		"machine key":    func(r *protocol.Relay) { r.Devices = []protocol.Device{{Key: "mkey:" + strings.Repeat("a", 64)}} },
		"bare key":       func(r *protocol.Relay) { r.Devices = []protocol.Device{{Key: strings.Repeat("a", 64)}} },
		"upper case key": func(r *protocol.Relay) { r.Devices = []protocol.Device{{Key: "nodekey:" + strings.Repeat("A", 64)}} },
		"zero key":       func(r *protocol.Relay) { r.Devices = []protocol.Device{{Key: "nodekey:" + strings.Repeat("0", 64)}} },
		"device twice": func(r *protocol.Relay) {
			d := newDevice()
			r.Devices = []protocol.Device{{Key: d.public()}, {Key: d.public()}}
		},
		"too many devices": func(r *protocol.Relay) {
			for range protocol.MaxDevices + 1 {
				r.Devices = append(r.Devices, protocol.Device{Key: newDevice().public()})
			}
		},
	} {
		wrong := other
		spoil(&wrong)
		p.mustRefuse("apply.invalid", "apply", protocol.Apply{Generation: 2, Relays: []protocol.Relay{good, wrong}})
		_ = name
	}
	if hello := p.hello(); hello.Generation != 1 {
		t.Fatalf("generation: %d", hello.Generation)
	}
	if now := p.snapshot().Relays; len(now) != 1 || *now[0].StartID != *running.StartID {
		t.Fatalf("relays: %+v", now)
	}
}

func TestSecretsAreNowhereToBeRead(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	relay := newRelay(t, 1)
	p.apply(1, relay)
	p.awaitRelay(1, proven)
	wrong := relay
	wrong.ID, wrong.Certificate = 2, relay.MeshKey
	p.mustRefuse("apply.invalid", "apply", protocol.Apply{Generation: 2, Relays: []protocol.Relay{wrong}})
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.processOf(1)))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, _ := json.Marshal(p.snapshot())
	secret := strings.Split(relay.PrivateKey, "\n")[1]
	for where, content := range map[string][]byte{"log": s.log.Bytes(), "arguments": command, "snapshot": snapshot} {
		if contains(content, relay.MeshKey) || contains(content, secret) {
			t.Errorf("a secret stands in the %s", where)
		}
	}
	err = filepath.Walk(s.state(), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !strings.Contains(path, "/bin/") {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatcherThatDoesNotReadBlocksNobody(t *testing.T) {
	s := startServer(t)
	s.panel()
	hung, err := net.Dial("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	for id := range 50 {
		fmt.Fprintf(hung, `{"id":%d,"verb":"watch","body":{}}`+"\n", id)
	}
	p := s.panel()
	relay := newRelay(t, 1)
	for generation := range int64(30) {
		relay.Running = generation%2 == 1
		p.apply(generation+1, relay)
	}
	p.awaitRelay(1, ready)
}

func TestEmptiedRunFolderIsNoHarm(t *testing.T) {
	s := startServer(t)
	p := s.panel()
	p.apply(1, newRelay(t, 1))
	before := p.awaitRelay(1, ready)
	if err := os.RemoveAll(filepath.Dir(s.socket())); err != nil {
		t.Fatal(err)
	}
	if p := s.panel(); p.hello().Generation != 1 { // the socket comes back by itself
		t.Fatal("generation is lost")
	}
	s.kill()
	os.RemoveAll(filepath.Dir(s.socket()))
	s.start()
	if after := s.panel().awaitRelay(1, ready); *after.StartID != *before.StartID {
		t.Fatal("the relay was started anew")
	}
}

func TestSecondNodeOnTheSameStateIsRefused(t *testing.T) {
	s := startServer(t)
	s.panel()
	if text, err := exec.Command(nodeBinary, s.flags...).CombinedOutput(); err == nil || !contains(text, "another node") {
		t.Fatalf("%v: %s", err, text)
	}
}

func TestStdioSpeaksForTheDaemon(t *testing.T) {
	s := startServer(t)
	command := exec.Command(nodeBinary, "stdio", "--socket", s.socket())
	command.Env = append(os.Environ(), "SSH_ORIGINAL_COMMAND=sh -c id")
	command.Stdin = strings.NewReader(`{"id":5,"verb":"hello","body":{}}` + "\n")
	output, err := command.Output()
	var a answer
	if err != nil || json.Unmarshal(output, &a) != nil || a.ID != 5 || !a.OK {
		t.Fatalf("%v: %s", err, output)
	}
}

// imageChunks is the relay archive as a panel sends it.
func imageChunks(t *testing.T, sign ed25519.PrivateKey, signedSum string) []protocol.Image {
	t.Helper()
	content, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	image := protocol.Image{Label: label, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	if signedSum != "" {
		image.SHA256 = signedSum
	}
	image.Signature = ed25519.Sign(sign, node.SignedText(label, image.SHA256))
	var chunks []protocol.Image
	for chunk := range bytesInChunks(content, 512<<10) {
		image.Data = chunk
		chunks = append(chunks, image)
		image.Offset += int64(len(chunk))
	}
	return chunks
}

func bytesInChunks(content []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(content) > 0 {
			n := min(size, len(content))
			if !yield(content[:n]) {
				return
			}
			content = content[n:]
		}
	}
}

func TestImageIsTakenOnlyWithTheSignatureOfTheReleaseKey(t *testing.T) {
	s := startServer(t, "--derper", "")
	p := s.panel()
	relay := newRelay(t, 1)
	p.apply(1, relay)
	p.awaitState(1, protocol.Failed, "image_missing")
	_, stranger, _ := ed25519.GenerateKey(nil)
	p.mustRefuse("image.bad_signature", "image", imageChunks(t, stranger, "")[0])
	if _, err := os.Stat(filepath.Join(s.state(), "image.part")); err == nil {
		t.Fatal("something was kept of it")
	}
	// Signed, but another archive than what comes.
	chunks := imageChunks(t, releaseKey, strings.Repeat("ab", 32))
	for _, chunk := range chunks[:len(chunks)-1] {
		p.mustAsk("image", chunk, nil)
	}
	p.mustRefuse("image.bad_checksum", "image", chunks[len(chunks)-1])
	chunks = imageChunks(t, releaseKey, "")
	p.mustRefuse("image.wrong_offset", "image", chunks[1])
	var received protocol.ImageReceived
	for _, chunk := range chunks {
		p.mustAsk("image", chunk, &received)
	}
	if !received.Complete || *received.Label != label || *p.hello().RelayLabel != label {
		t.Fatalf("received: %+v", received)
	}
	p.awaitRelay(1, ready)
}

func TestProbeSeesRelaysAndListeners(t *testing.T) {
	s, other := startServer(t), startServer(t)
	relay := newRelay(t, 1)
	p := other.panel()
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	open := freePort(t)
	p.mustAsk("listen", protocol.Listen{Ports: []int{open}, Token: "abcdefgh12345678", Seconds: 30}, nil)
	p.mustRefuse("listen.port_in_use", "listen", protocol.Listen{Ports: []int{relay.Port}, Token: "abcdefgh12345678", Seconds: 30})
	pin, wrongPin, token, wrongToken := relay.Pin(), strings.Repeat("ab", 32), "abcdefgh12345678", "nonsense"
	targets := []protocol.Target{
		{Address: "127.0.0.1", Port: relay.Port, StunPort: &relay.StunPort, Pin: &pin},
		{Address: "127.0.0.1", Port: relay.Port, Pin: &wrongPin},
		{Address: "127.0.0.1", Port: relay.Port},
		{Address: "127.0.0.1", Port: open, Token: &token},
		{Address: "127.0.0.1", Port: open, Token: &wrongToken},
		{Address: "127.0.0.1", Port: freePort(t), Pin: &pin},
	}
	var probed protocol.Probed
	s.panel().mustAsk("probe", protocol.Probe{Targets: targets, TimeoutMS: 2000}, &probed)
	r := probed.Results
	is := func(value *bool, wanted bool) bool { return value != nil && *value == wanted }
	if !is(r[0].TLS, true) || !is(r[0].Pin, true) || !is(r[0].HTTP, true) || r[0].StunMS == nil || r[0].Error != nil {
		t.Errorf("relay: %+v", r[0])
	}
	if !is(r[1].TLS, true) || !is(r[1].Pin, false) {
		t.Errorf("wrong pin: %+v", r[1])
	}
	if !is(r[2].TLS, true) || r[2].Pin != nil || r[2].Error != nil {
		t.Errorf("no pin: %+v", r[2])
	}
	if !is(r[3].TokenTCP, true) || !is(r[3].TokenUDP, true) {
		t.Errorf("token: %+v", r[3])
	}
	if !is(r[4].TokenTCP, false) || !is(r[4].TokenUDP, false) {
		t.Errorf("wrong token: %+v", r[4])
	}
	if r[5].TCPMS != nil || r[5].Error == nil {
		t.Errorf("nothing there: %+v", r[5])
	}
}

func TestRetireLeavesNothing(t *testing.T) {
	s := startServer(t)
	keys := filepath.Join(s.folder, "authorized_keys")
	mine := "ssh-ed25519 AAAA somebody\n"
	if err := os.WriteFile(keys, []byte(`restrict,command="/usr/local/bin/derpman-node stdio" ssh-ed25519 BBBB panel`+"\n"+mine), 0o600); err != nil {
		t.Fatal(err)
	}
	p := s.panel()
	p.apply(4, newRelay(t, 1))
	p.awaitRelay(1, ready)
	p.mustRefuse("retire.relays_wanted", "retire", protocol.Retire{Generation: 4})
	p.apply(5)
	p.mustRefuse("apply.stale", "retire", protocol.Retire{Generation: 4})
	p.mustAsk("retire", protocol.Retire{Generation: 5}, nil)
	if left, _ := os.ReadFile(keys); string(left) != mine {
		t.Fatalf("authorized_keys: %q", left)
	}
	snapshot := p.snapshot()
	if s.processOf(1) != 0 || p.hello().Generation != 0 || len(snapshot.Events)+len(snapshot.Knocks)+len(snapshot.Starts) != 0 {
		t.Fatalf("left: %+v", snapshot)
	}
}
