package e2e

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"derpman/node/internal/protocol"
	"derpman/node/internal/relaybinary"
)

// dockerHost is a daemon whose host network is ours, as with-dockerd.sh makes one.
func dockerHost(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DERPMAN_TEST_DOCKER_HOST")
	if host == "" {
		t.Skip("needs a Docker daemon of its own: run the tests through with-dockerd.sh, which sets DERPMAN_TEST_DOCKER_HOST")
	}
	return host
}

type docker struct {
	t *testing.T
	*client.Client
}

// startDocker runs a node of the docker runtime that has the relay image.
func startDocker(t *testing.T) (*server, docker, *panel) {
	t.Helper()
	host := dockerHost(t)
	c, err := client.New(client.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	s := startServerAs(t, "--runtime", "docker", "--docker-host", host)
	p := s.panel()
	for _, chunk := range imageChunks(t, releaseKey, "") {
		p.mustAsk("image", chunk, nil)
	}
	return s, docker{t, c}, p
}

func (d docker) kill(name string) {
	d.t.Helper()
	if _, err := d.ContainerKill(context.Background(), name, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		d.t.Fatal(err)
	}
}

func (d docker) remove(name string) {
	d.t.Helper()
	if _, err := d.ContainerRemove(context.Background(), name, client.ContainerRemoveOptions{Force: true}); err != nil {
		d.t.Fatal(err)
	}
}

func (d docker) create(name string, labels map[string]string) {
	d.t.Helper()
	_, err := d.ContainerCreate(context.Background(), client.ContainerCreateOptions{
		Name:   name,
		Config: &container.Config{Image: relaybinary.Image + ":" + label, Cmd: []string{"-version"}, Labels: labels},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d docker) names() string {
	d.t.Helper()
	list, err := d.ContainerList(context.Background(), client.ContainerListOptions{All: true})
	if err != nil {
		d.t.Fatal(err)
	}
	var names []string
	for _, summary := range list.Items {
		names = append(names, strings.Join(summary.Names, ","))
	}
	return strings.Join(names, " ")
}

func (d docker) inspect(name string) container.InspectResponse {
	d.t.Helper()
	result, err := d.ContainerInspect(context.Background(), name, client.ContainerInspectOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return result.Container
}

const publicAddress = "203.0.113.9" // named by the certificate, on no interface: as behind a cloud's NAT

func TestContainerServesItsDevicesAndIsHardened(t *testing.T) {
	_, d, p := startDocker(t)
	one, two := newDevice(), newDevice()
	relay := newRelayAt(t, 1, publicAddress, one, two)
	p.apply(1, relay)
	p.awaitRelay(1, proven)
	a, b := one.mustDial(t, relay), two.mustDial(t, relay)
	a.send(two, b, []byte("hello"))
	newDevice().mustBeRefused(t, relay)
	p.await(func(s protocol.Snapshot) bool { return len(s.Knocks) == 1 })

	made := d.inspect("relay-1-g1")
	host := made.HostConfig
	if !host.ReadonlyRootfs || host.Privileged || strings.Join(host.CapDrop, "") != "ALL" || len(host.CapAdd) != 0 ||
		!strings.Contains(strings.Join(host.SecurityOpt, " "), "no-new-privileges") || host.NetworkMode != "host" ||
		host.Memory != 256<<20 || host.PidsLimit == nil || *host.PidsLimit <= 0 || host.RestartPolicy.Name != "no" ||
		host.LogConfig.Config["max-size"] == "" || made.Config.User != "65532:65532" {
		t.Errorf("host config: %+v, user %s", host, made.Config.User)
	}
	if len(made.Mounts) != 1 || made.Mounts[0].RW || !strings.HasSuffix(made.Mounts[0].Source, "/relays/1") {
		t.Errorf("mounts: %+v", made.Mounts)
	}
	for _, argument := range append(made.Args, made.Config.Env...) {
		if strings.Contains(argument, relay.MeshKey) {
			t.Error("mesh key stands in the arguments")
		}
	}
}

func TestKilledAndRemovedContainersAreBack(t *testing.T) {
	_, d, p := startDocker(t)
	p.apply(1, newRelayAt(t, 1, publicAddress))
	p.awaitRelay(1, proven)
	pause := func(name string) {
		if _, err := d.ContainerPause(context.Background(), name, client.ContainerPauseOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, harm := range map[string]func(string){"killed": d.kill, "removed": d.remove, "paused": pause} {
		best := 60.0
		for range 3 { // a busy machine may be slow once
			harm("relay-1-g1")
			best = min(best, p.awaitEvent("relay_killed_back").Detail["away_seconds"].(float64))
			p.awaitRelay(1, ready)
			if best < 1 {
				break
			}
		}
		if best >= 1 {
			t.Errorf("%s: away for %v s", name, best)
		}
	}
}

func TestContainerOutlivesTheNode(t *testing.T) {
	s, d, p := startDocker(t)
	one := newDevice()
	relay := newRelayAt(t, 1, publicAddress, one)
	p.apply(1, relay)
	before := p.awaitRelay(1, proven)
	l := one.mustDial(t, relay)
	s.kill()
	s.start()
	p = s.panel()
	after := p.awaitRelay(1, func(r protocol.RelayStatus) bool { return ready(r) && len(r.Presence) == 1 })
	if *after.StartID != *before.StartID || !l.isOpen() {
		t.Fatal("the container was started anew")
	}
	s.kill()
	d.kill("relay-1-g1")
	s.start()
	if again := s.panel().awaitRelay(1, ready); *again.StartID == *before.StartID {
		t.Fatal("start id is the old one")
	}
}

func TestForeignContainersOfOurKindAreRemovedAndOthersAreNot(t *testing.T) {
	s, d, p := startDocker(t)
	p.apply(1, newRelayAt(t, 1, publicAddress))
	p.awaitRelay(1, ready)
	d.create("somebodys-database", map[string]string{"team": "other"})
	t.Cleanup(func() { d.remove("somebodys-database") })
	s.kill()
	d.create("relay-77-g3", nil)
	d.create("odd", map[string]string{"derpman.relay.id": "78"})
	d.create("relay-1-g9", map[string]string{"derpman.relay.id": "1", "derpman.relay.generation": "9", "derpman.relay.spec": "x"})
	s.start()
	p = s.panel()
	told := 0
	p.await(func(s protocol.Snapshot) bool {
		told += len(eventsOf(s, "foreign_removed"))
		return told >= 2
	})
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		names := d.names()
		if strings.Contains(names, "relay-1-g1") && strings.Contains(names, "somebodys-database") && strings.Count(names, "/") == 2 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("containers: %s", names)
		}
	}
}

func TestNewGenerationIsANewContainer(t *testing.T) {
	_, d, p := startDocker(t)
	relay := newRelayAt(t, 1, publicAddress)
	p.apply(1, relay)
	p.awaitRelay(1, ready)
	relay.Generation = 2
	relay.Port, relay.StunPort = freePort(t), freePort(t)
	p.apply(2, relay)
	p.awaitRelay(1, func(r protocol.RelayStatus) bool { return r.Generation == 2 && ready(r) })
	if names := d.names(); strings.Contains(names, "relay-1-g1") || !strings.Contains(names, "relay-1-g2") {
		t.Fatalf("containers: %s", names)
	}
	target := targetOf(relay)
	mapped, local, err := target.STUN(t.Context())
	if err != nil || mapped != local || mapped == (netip.AddrPort{}) {
		t.Fatalf("STUN: %v %v %v", mapped, local, err)
	}
	p.apply(3)
	p.await(func(s protocol.Snapshot) bool { return len(s.Removed) == 1 })
	if names := d.names(); names != "" {
		t.Fatalf("left behind: %s", names)
	}
}

func TestSpeedOfAContainerChangesLive(t *testing.T) {
	_, d, p := startDocker(t)
	relay := newRelayAt(t, 1, publicAddress)
	p.apply(1, relay)
	before := p.awaitRelay(1, ready)
	relay.RateBytesPerSecond = 98_765
	p.apply(2, relay)
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		log, err := d.ContainerLogs(context.Background(), "relay-1-g1", client.ContainerLogsOptions{ShowStderr: true, ShowStdout: true})
		if err != nil {
			t.Fatal(err)
		}
		content := make([]byte, 1<<16)
		n, _ := log.Read(content)
		for n < len(content) {
			more, err := log.Read(content[n:])
			n += more
			if err != nil {
				break
			}
		}
		log.Close()
		if contains(content[:n], "client-rate=98765") {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the speed was never changed")
		}
	}
	if after := p.awaitRelay(1, ready); *after.StartID != *before.StartID {
		t.Fatal("restarted to change the speed")
	}
}

func TestMissingImageIsNamed(t *testing.T) {
	_, d, p := startDocker(t)
	if _, err := d.ImageRemove(context.Background(), relaybinary.Image+":"+label, client.ImageRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if hello := p.hello(); hello.RelayLabel != nil {
		t.Fatalf("label: %s", *hello.RelayLabel)
	}
	p.apply(1, newRelayAt(t, 1, publicAddress))
	p.awaitState(1, protocol.Failed, "image_missing")
	for _, chunk := range imageChunks(t, releaseKey, "") {
		p.mustAsk("image", chunk, nil)
	}
	p.awaitRelay(1, ready)
}
