package runtime

import (
	"slices"
	"testing"
)

func TestArgumentsAreTheFixedTemplate(t *testing.T) {
	spec := Spec{Relay: 1, Generation: 2, Address: "203.0.113.9", Port: 20441, StunPort: 23471, Admission: "http://127.0.0.1:9700/admit/1/x"}
	arguments := spec.Arguments("/relay")
	for _, pair := range [][2]string{
		{"-a", ":20441"}, {"-stun-port", "23471"}, {"-http-port", "-1"}, {"-hostname", "203.0.113.9"},
		{"-certmode", "manual"}, {"-certdir", "/relay"}, {"-mesh-psk-file", "/relay/mesh.key"},
		{"-verify-client-url", "http://127.0.0.1:9700/admit/1/x"},
	} {
		at := slices.Index(arguments, pair[0])
		if at < 0 || arguments[at+1] != pair[1] {
			t.Errorf("%s is not %s: %v", pair[0], pair[1], arguments)
		}
	}
	if !slices.Contains(arguments, "-verify-client-url-fail-open=false") {
		t.Error("a silent admission would let everyone in")
	}
	for _, never := range []string{"-accept-connection-limit", "-mesh-with", "-verify-clients"} {
		if slices.Contains(arguments, never) {
			t.Errorf("%s must never be used", never)
		}
	}
}

func TestHashChangesWithWhatNeedsANewProcess(t *testing.T) {
	base := Spec{Relay: 1, Generation: 2, Address: "203.0.113.9", Port: 1, StunPort: 2, Admission: "u", Folder: "/a", Secrets: "s"}
	moved := base
	moved.Folder = "/b"
	if moved.Hash() != base.Hash() {
		t.Error("the folder is no reason")
	}
	for _, change := range []func(*Spec){
		func(s *Spec) { s.Generation++ }, func(s *Spec) { s.Address = "203.0.113.10" }, func(s *Spec) { s.Port++ },
		func(s *Spec) { s.StunPort++ }, func(s *Spec) { s.Admission = "v" }, func(s *Spec) { s.Secrets = "t" },
	} {
		other := base
		change(&other)
		if other.Hash() == base.Hash() {
			t.Errorf("same hash: %+v", other)
		}
	}
}

func TestRelayOfThisMachineStaysOnLoopback(t *testing.T) {
	for address, want := range map[string][2]string{
		"203.0.113.9": {":5", "127.0.0.1"},
		"127.0.0.3":   {"127.0.0.3:5", "127.0.0.3"},
		"::1":         {"[::1]:5", "::1"},
		"2001:db8::9": {":5", "127.0.0.1"},
	} {
		spec := Spec{Address: address, Port: 5}
		if got := spec.Arguments("/")[1]; got != want[0] || spec.Local() != want[1] {
			t.Errorf("%s listens at %s, is reached at %s", address, got, spec.Local())
		}
	}
	if name := (Spec{Address: "2001:db8::9"}).CertificateName(); name != "2001db89" {
		t.Errorf("certificate name %s", name)
	}
}
