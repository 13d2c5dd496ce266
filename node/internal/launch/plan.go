// Package launch decides which binary of this program runs, and watches over
// a new one until it has proved itself.
//
// The binary that was installed on the server stays where it is. Upgrades lie
// in the state folder, with a plan of which of them is in use; whatever starts
// looks at the plan first. A new one runs as a child of the old one, on trial:
// it has to answer as itself, and every relay that ran must run on, never
// stopped. When it does not in time, or ends, the old one goes on. A trial that
// was cut short, by a power cut or kill -9, counts as failed.
package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"time"

	"derpman/node/internal/disk"
	"derpman/node/internal/protocol"
)

const (
	folder   = "program"
	planFile = "plan.json"
)

// Program is one binary.
type Program struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Relay ran when a trial began.
type Relay struct {
	ID      int64  `json:"id"`
	StartID string `json:"start_id"`
}

// trial is a program that has to prove itself.
type trial struct {
	Program
	Relays []Relay `json:"relays"`
	Begun  bool    `json:"begun"`
}

// plan is what survives everything.
type plan struct {
	Active *Program           `json:"active"` // nil: the installed binary
	Trial  *trial             `json:"trial"`
	Last   *protocol.Upgraded `json:"last"`
}

func path(state, name string) string { return filepath.Join(state, folder, name) }

// binary is where a program lies.
func (p Program) binary(state string) string { return path(state, "derpman-node-"+p.SHA256[:16]) }

func read(state string) (plan, error) {
	var p plan
	_, err := disk.ReadJSON(path(state, planFile), &p)
	return p, err
}

func (p plan) write(state string) error { return disk.ReplaceJSON(path(state, planFile), p) }

// Plan puts the binary at fresh beside the others and has the next start try
// it. The relays are those that run now.
func Plan(state, fresh string, program Program, relays []Relay) error {
	if err := os.MkdirAll(path(state, ""), 0o700); err != nil {
		return err
	}
	file, err := os.Open(fresh)
	if err != nil {
		return err
	}
	err = file.Sync()
	file.Close()
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, program.binary(state)); err != nil {
		return err
	}
	if err := disk.SyncFolder(path(state, "")); err != nil {
		return err
	}
	p, err := read(state)
	if err != nil {
		return err
	}
	p.Trial = &trial{Program: program, Relays: relays}
	p.Last = p.Trial.result(protocol.UpgradeOnTrial, "")
	return p.write(state)
}

// Last is how the last upgrade went, nil when there was none.
func Last(state string) *protocol.Upgraded {
	p, err := read(state)
	if err != nil {
		return nil
	}
	return p.Last
}

func (t *trial) result(result, reason string) *protocol.Upgraded {
	return &protocol.Upgraded{
		Version: t.Version, SHA256: t.SHA256, Result: result, Reason: reason,
		At: time.Now().UTC().Truncate(time.Microsecond),
	}
}

// settle ends the trial and removes the binaries that nobody needs any more.
func (p *plan) settle(state, result, reason string) error {
	p.Last = p.Trial.result(result, reason)
	if result == protocol.UpgradeConfirmed {
		active := p.Trial.Program
		p.Active = &active
	}
	p.Trial = nil
	if err := p.write(state); err != nil {
		return err
	}
	known, _ := filepath.Glob(path(state, "derpman-node-*"))
	for _, one := range known {
		if p.Active == nil || one != p.Active.binary(state) {
			os.Remove(one)
		}
	}
	return nil
}

// Sum is the SHA-256 of a file, in hex; "" when it cannot be read.
func Sum(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}
