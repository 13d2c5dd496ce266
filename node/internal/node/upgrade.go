package node

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"derpman/node/internal/launch"
	"derpman/node/internal/protocol"
)

var versionForm = regexp.MustCompile(`^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(-[0-9A-Za-z.]{1,40})?$`)

// SignedProgram is what the release key signs for a binary of this program.
func SignedProgram(version, sum string) []byte {
	return []byte("derpman-node\n" + version + "\n" + sum + "\n")
}

// Upgrade takes one chunk of a new binary of this program. The last one has
// it try itself and our settings; then the node ends, and begins again with
// the new one, which has to prove itself (package launch).
func (n *Node) Upgrade(ctx context.Context, part protocol.Upgrade) (protocol.UpgradeReceived, error) {
	if !versionForm.MatchString(part.Version) {
		return protocol.UpgradeReceived{}, n.program.refuse("invalid", "version is not of the form 1.2.3 or 1.2.3-name")
	}
	c := chunk{
		name: part.Version, text: SignedProgram(part.Version, part.SHA256), size: part.Size, sha256: part.SHA256,
		signature: part.Signature, offset: part.Offset, data: part.Data,
	}
	if err := n.program.check(&c); err != nil {
		return protocol.UpgradeReceived{}, err
	}
	n.program.mu.Lock()
	defer n.program.mu.Unlock()
	switch {
	case part.SHA256 == n.sum:
		return protocol.UpgradeReceived{Received: part.Size, Complete: true}, nil
	case older(part.Version, Version):
		return protocol.UpgradeReceived{}, n.program.refuse("older", "version %s runs, %s is older", Version, part.Version)
	case n.ends:
		return protocol.UpgradeReceived{}, n.program.refuse("under_way", "the node is about to restart")
	}
	whole, err := n.program.take(&c)
	if err != nil || !whole {
		return protocol.UpgradeReceived{Received: n.program.received}, err
	}
	defer n.program.drop()
	if err := n.tryProgram(ctx, part.Version); err != nil {
		return protocol.UpgradeReceived{}, err
	}
	trial := launch.Program{Version: part.Version, SHA256: part.SHA256}
	if err := launch.Plan(n.config.State, n.program.path, trial, n.readyRelays()); err != nil {
		slog.Error("upgrade not planned", "error", err)
		return protocol.UpgradeReceived{}, n.program.refuse("not_written", "the state folder cannot be written")
	}
	slog.Info("upgrade begins", "version", part.Version)
	n.ends = true
	time.AfterFunc(answerFirst, func() { close(n.restart) })
	return protocol.UpgradeReceived{Received: part.Size, Complete: true, Restarts: true}, nil
}

// answerFirst is how long the answer to the last chunk may take to be sent.
const answerFirst = 200 * time.Millisecond

// tryProgram has the new binary say its version and read our settings.
func (n *Node) tryProgram(ctx context.Context, version string) error {
	if err := os.Chmod(n.program.path, 0o755); err != nil {
		return n.program.refuse("not_written", "the binary cannot be made executable")
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, n.program.path, "version").CombinedOutput()
	if err != nil {
		return n.program.refuse("does_not_run", "%s: %s", err, tail(said))
	}
	if got := strings.TrimSpace(string(said)); got != version {
		return n.program.refuse("other_version", "the binary says that it is %.60q", got)
	}
	words := append([]string{"check"}, n.arguments...)
	if said, err := exec.CommandContext(ctx, n.program.path, words...).CombinedOutput(); err != nil {
		return n.program.refuse("settings_refused", "%s: %s", err, tail(said))
	}
	return nil
}

func tail(said []byte) string {
	text := strings.TrimSpace(string(said))
	return text[max(0, len(text)-300):]
}

// readyRelays are those that the new program must take over as they run.
func (n *Node) readyRelays() []launch.Relay {
	var ready []launch.Relay
	for _, r := range n.Snapshot("").Relays {
		if r.State == protocol.Ready && r.StartID != nil {
			ready = append(ready, launch.Relay{ID: r.ID, StartID: *r.StartID})
		}
	}
	return ready
}

// older compares the numbers of two versions; what follows a dash says nothing.
func older(a, b string) bool {
	numbers := func(version string) []string {
		plain, _, _ := strings.Cut(version, "-")
		return strings.Split(plain, ".")
	}
	left, right := numbers(a), numbers(b)
	for i := range min(len(left), len(right)) {
		if len(left[i]) != len(right[i]) {
			return len(left[i]) < len(right[i])
		}
		if left[i] != right[i] {
			return left[i] < right[i]
		}
	}
	return false
}
