package launch

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"derpman/node/internal/protocol"
)

const sum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// answering is a program that says what it is told to, on a socket.
func answering(t *testing.T, hello, snapshot string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			for lines := bufio.NewScanner(connection); lines.Scan(); {
				body := hello
				if strings.Contains(lines.Text(), "snapshot") {
					body = snapshot
				}
				fmt.Fprintf(connection, "{\"id\":1,\"ok\":true,\"body\":%s}\n", body)
			}
		}
	}()
	return path
}

func TestTrialIsJudgedByWhatAPanelWouldSee(t *testing.T) {
	onTrial := &trial{Program: Program{Version: "0.2.0", SHA256: sum}, Relays: []Relay{{1, "first"}, {2, "second"}}}
	self := fmt.Sprintf(`{"version":"0.2.0","program":%q}`, sum)
	relay := func(id int, start, state string) string {
		return fmt.Sprintf(`{"id":%d,"start_id":%q,"state":%q}`, id, start, state)
	}
	for name, test := range map[string]struct {
		hello, first, second string
		fault                string
		final                bool
	}{
		"well":             {self, relay(1, "first", "ready"), relay(2, "second", "ready"), "", false},
		"one has stopped":  {self, relay(1, "first", "ready"), relay(2, "", "stopped"), "", false},
		"one is released":  {self, relay(1, "first", "ready"), relay(3, "new", "starting"), "", false},
		"not ready yet":    {self, relay(1, "first", "starting"), relay(2, "second", "ready"), "relay 1 is starting", false},
		"degraded":         {self, relay(1, "first", "ready"), relay(2, "second", "degraded"), "relay 2 is degraded", false},
		"made anew":        {self, relay(1, "other", "ready"), relay(2, "second", "ready"), "relay 1 did not run on", true},
		"the old one":      {`{"version":"0.1.0","program":"b"}`, relay(1, "first", "ready"), relay(2, "second", "ready"), "not the new one", false},
		"another 0.2.0":    {`{"version":"0.2.0","program":"b"}`, relay(1, "first", "ready"), relay(2, "second", "ready"), "not the new one", false},
		"no start id, yet": {self, `{"id":1,"start_id":null,"state":"starting"}`, relay(2, "second", "ready"), "relay 1 is starting", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := answering(t, test.hello, fmt.Sprintf(`{"relays":[%s,%s]}`, test.first, test.second))
			found, err := look(onTrial, path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(found.text, test.fault) || (test.fault == "") != (found.text == "") || found.final != test.final {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestPlanKeepsWhatIsNeededAndNothingElse(t *testing.T) {
	state := t.TempDir()
	for i, version := range []string{"0.2.0", "0.3.0"} {
		fresh := filepath.Join(state, "fresh")
		if err := os.WriteFile(fresh, []byte(version), 0o755); err != nil {
			t.Fatal(err)
		}
		program := Program{Version: version, SHA256: Sum(fresh)}
		if err := Plan(state, fresh, program, nil); err != nil {
			t.Fatal(err)
		}
		p, err := read(state)
		if err != nil || p.Trial == nil || p.Trial.Version != version || Last(state).Result != protocol.UpgradeOnTrial {
			t.Fatalf("%+v %v", p, err)
		}
		result := []string{protocol.UpgradeConfirmed, protocol.UpgradeRolledBack}[i]
		if err := p.settle(state, result, "why"); err != nil {
			t.Fatal(err)
		}
	}
	p, err := read(state)
	if err != nil || p.Trial != nil || p.Active.Version != "0.2.0" || p.Last.Version != "0.3.0" {
		t.Fatalf("%+v %v", p, err)
	}
	kept, _ := filepath.Glob(filepath.Join(state, folder, "derpman-node-*"))
	if len(kept) != 1 || kept[0] != p.Active.binary(state) || Sum(kept[0]) != p.Active.SHA256 {
		t.Fatalf("kept: %v", kept)
	}
}
