package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFlagsComeBeforeTheFileAndTheFileBeforeDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"state":"/a","ports":"20000-29999","relay_memory":1000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load([]string{"--config", path, "--state", "/b"})
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/b" || c.Ports != "20000-29999" || c.RelayMemory != 1000 || c.Runtime != "docker" {
		t.Fatalf("%+v", c)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"prots":"1-2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{
		{"--config", path},
		{"--config", filepath.Join(t.TempDir(), "none")},
		{"--runtime", "podman"},
		{"--ports", "80-90"},
		{"--ports", "3000-2000"},
		{"--ports", "20000"},
		{"--release-key", "c2hvcnQ="},
		{"extra"},
	} {
		if _, err := Load(arguments); err == nil {
			t.Errorf("%v was taken", arguments)
		}
	}
}
