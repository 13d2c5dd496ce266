// Package config is what an operator sets for a node.
package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"derpman/node/internal/protocol"
)

// DefaultPath is read when it exists and no other file is named.
const DefaultPath = "/etc/derpman-node.json"

const defaultSocket = "/run/derpman/node.sock"

// Config of derpman-node serve. The JSON file and the flags have the same names.
type Config struct {
	State          string `json:"state"`
	Socket         string `json:"socket"`
	Group          string `json:"group"`
	Runtime        string `json:"runtime"`
	DockerHost     string `json:"docker_host"`
	Derper         string `json:"derper"`
	ReleaseKey     string `json:"release_key"`
	Ports          string `json:"ports"`
	AuthorizedKeys string `json:"authorized_keys"`
	Admission      string `json:"admission"`
	RelayMemory    int64  `json:"relay_memory"`
	StopRelays     bool   `json:"stop_relays"`
	TrialSeconds   int    `json:"trial_seconds"`
}

// Load takes the defaults, then the file, then the flags.
func Load(arguments []string) (*Config, error) {
	c := &Config{
		State:       "/var/lib/derpman",
		Socket:      defaultSocket,
		Group:       "derpman",
		Runtime:     "docker",
		DockerHost:  "unix:///var/run/docker.sock",
		Ports:       "1024-65535",
		Admission:   "127.0.0.1:0",
		RelayMemory: 256 << 20,

		TrialSeconds: 45,
	}
	// The file must be read before the flags are, which may name it.
	path, required := DefaultPath, false
	scout := flag.NewFlagSet("serve", flag.ContinueOnError)
	scout.SetOutput(new(strings.Builder))
	declare(scout, new(Config), &path)
	if scout.Parse(arguments) == nil {
		scout.Visit(func(f *flag.Flag) { required = required || f.Name == "config" })
	}
	if err := c.read(path, required); err != nil {
		return nil, err
	}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	declare(flags, c, &path)
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return c, c.check()
}

// Socket is where the daemon listens as far as the file says, else the default.
func Socket() string {
	c := &Config{Socket: defaultSocket}
	if c.read(DefaultPath, false) != nil { // not ours to read; the daemon tells what is wrong with it
		return defaultSocket
	}
	return c.Socket
}

func declare(flags *flag.FlagSet, c *Config, path *string) {
	flags.StringVar(path, "config", *path, "configuration file, JSON with the names of these flags (- written _)")
	flags.StringVar(&c.State, "state", c.State, "folder for all that must survive a restart")
	flags.StringVar(&c.Socket, "socket", c.Socket, "Unix socket for the panel")
	flags.StringVar(&c.Group, "group", c.Group, "group that may use the socket, if it exists")
	flags.StringVar(&c.Runtime, "runtime", c.Runtime, "docker or process")
	flags.StringVar(&c.DockerHost, "docker-host", c.DockerHost, "address of the Docker daemon")
	flags.StringVar(&c.Derper, "derper", c.Derper, "derper binary of the process runtime until the panel sends one")
	flags.StringVar(&c.ReleaseKey, "release-key", c.ReleaseKey, "ed25519 public key of relay images, base64")
	flags.StringVar(&c.Ports, "ports", c.Ports, "ports that relays may have, first-last")
	flags.StringVar(&c.AuthorizedKeys, "authorized-keys", c.AuthorizedKeys, "file whose line for the panel retire removes")
	flags.StringVar(&c.Admission, "admission", c.Admission, "loopback address that relays ask; port 0 chooses one and keeps it")
	flags.BoolVar(&c.StopRelays, "stop-relays", c.StopRelays, "stop the relays when the node is told to end (they outlive it otherwise)")
	flags.IntVar(&c.TrialSeconds, "trial-seconds", c.TrialSeconds, "how long an upgraded program may take to prove itself")
	flags.Int64Var(&c.RelayMemory, "relay-memory", c.RelayMemory, "memory limit of a relay's container in bytes")
}

func (c *Config) read(path string, required bool) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !required {
		return nil
	}
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (c *Config) check() error {
	if c.Runtime != "docker" && c.Runtime != "process" {
		return fmt.Errorf("runtime %q is neither docker nor process", c.Runtime)
	}
	if c.TrialSeconds < 1 || c.TrialSeconds > 3600 {
		return fmt.Errorf("trial seconds %d are not 1 to 3600", c.TrialSeconds)
	}
	if _, err := c.PortRange(); err != nil {
		return err
	}
	if _, err := c.Release(); err != nil {
		return err
	}
	return nil
}

// PortRange is the range that relays may have.
func (c *Config) PortRange() (protocol.PortRange, error) {
	first, last, ok := strings.Cut(c.Ports, "-")
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if !ok || err != nil || err2 != nil || from < 1024 || to > 65535 || from > to {
		return protocol.PortRange{}, fmt.Errorf("ports %q is not first-last within 1024-65535", c.Ports)
	}
	return protocol.PortRange{First: from, Last: to}, nil
}

// Release is the key that relay images must be signed with; nil takes none.
func (c *Config) Release() (ed25519.PublicKey, error) {
	if c.ReleaseKey == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(c.ReleaseKey)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("release key is not 32 bytes of base64")
	}
	return raw, nil
}
