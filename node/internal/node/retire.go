package node

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"derpman/node/internal/disk"
	"derpman/node/internal/protocol"
)

// Retire ends the work for this panel: no container, no state and no right of
// entry is left. It is refused while relays are wanted.
func (n *Node) Retire(ctx context.Context, request protocol.Retire) error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	accepted, wanted := n.generation, 0
	for _, r := range n.relays {
		if r.Wanted() != nil {
			wanted++
		}
	}
	n.mu.Unlock()
	if request.Generation < accepted {
		return stale(request.Generation, accepted)
	}
	if wanted > 0 {
		return &protocol.Error{Code: "retire.relays_wanted", Message: "relays are still wanted on this server"}
	}
	if err := n.awaitEmpty(ctx); err != nil {
		return &protocol.Error{Code: "retire.not_finished", Message: "relays are still being removed; ask again"}
	}
	if err := n.wipe(); err != nil {
		slog.Error("state not wiped", "error", err)
		return &protocol.Error{Code: "retire.not_finished", Message: "the state cannot be removed"}
	}
	slog.Info("retired")
	return nil
}

func (n *Node) awaitEmpty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	n.sweep(ctx) // also what nobody ever wanted
	for {
		_, _, moved := n.changes.since(0)
		n.mu.Lock()
		left := len(n.relays)
		n.mu.Unlock()
		if left == 0 {
			found, err := n.runtime.List(ctx)
			if err != nil || len(found) == 0 {
				return err
			}
			n.sweep(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

func (n *Node) wipe() error {
	if err := removeEntry(n.config.AuthorizedKeys); err != nil {
		return err
	}
	if err := os.Remove(n.path("desired.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := disk.SyncFolder(n.config.State); err != nil {
		return err
	}
	n.mu.Lock()
	n.generation = 0
	n.mu.Unlock()
	n.ledger.Save()
	return n.journal.Reset(randomHex())
}

// removeEntry takes the lines that lead to this program out of an
// authorized_keys file and leaves its owner and mode as they are.
func removeEntry(path string) error {
	if path == "" {
		return nil
	}
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var after []byte
	for line := range bytes.Lines(before) {
		if !bytes.Contains(line, []byte("derpman-node stdio")) {
			after = append(after, line...)
		}
	}
	if bytes.Equal(before, after) {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid := -1, -1
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		uid, gid = int(owner.Uid), int(owner.Gid)
	}
	if err := disk.Place(path, after, info.Mode().Perm(), uid, gid); err != nil {
		return err
	}
	return disk.SyncFolder(filepath.Dir(path))
}
