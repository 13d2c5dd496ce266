package node

import (
	"fmt"
	"log/slog"

	"derpman/node/internal/disk"
	"derpman/node/internal/protocol"
)

// Apply takes over the desired state of the whole server. When it returns,
// the wish is durable and nobody it does not list is let in any more.
func (n *Node) Apply(wish protocol.Apply) (protocol.Applied, error) {
	if err := wish.Validate(n.ports); err != nil {
		return protocol.Applied{}, err
	}
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	accepted := n.generation
	n.mu.Unlock()
	if wish.Generation < accepted {
		return protocol.Applied{}, stale(wish.Generation, accepted)
	}
	if err := disk.ReplaceJSON(n.path("desired.json"), wish); err != nil {
		slog.Error("wish not written", "error", err)
		return protocol.Applied{}, &protocol.Error{Code: "apply.not_written", Message: "the state folder cannot be written"}
	}
	ports := make([]int, 0, 2*len(wish.Relays))
	n.mu.Lock()
	n.generation = wish.Generation
	listed := make(map[int64]bool, len(wish.Relays))
	for i := range wish.Relays {
		listed[wish.Relays[i].ID] = true
		ports = append(ports, wish.Relays[i].Port, wish.Relays[i].StunPort)
		n.want(&wish.Relays[i])
	}
	for id, r := range n.relays {
		if !listed[id] {
			r.Want(nil)
		}
	}
	n.mu.Unlock()
	n.listeners.Close(ports)
	slog.Info("wish accepted", "generation", wish.Generation, "relays", len(wish.Relays))
	return protocol.Applied{Generation: wish.Generation}, nil
}

func stale(asked, accepted int64) *protocol.Error {
	return &protocol.Error{
		Code:    "apply.stale",
		Message: fmt.Sprintf("generation %d is older than %d, which this node has accepted", asked, accepted),
	}
}
