package node

import (
	"errors"
	"fmt"
	"time"

	"derpman/node/internal/protocol"
	"derpman/node/internal/survey"
)

// Listen opens echo listeners on ports that no relay has, to prove from
// outside that they can be reached.
func (n *Node) Listen(listen protocol.Listen) error {
	switch {
	case len(listen.Ports) == 0 || len(listen.Ports) > survey.MaxPorts:
		return protocol.Invalid("1 to %d ports", survey.MaxPorts)
	case listen.Seconds < 1 || listen.Seconds > survey.MaxSeconds:
		return protocol.Invalid("seconds must be 1 to %d", survey.MaxSeconds)
	case !survey.IsToken(listen.Token):
		return protocol.Invalid("token is not 8 to 128 letters, digits, - and _")
	}
	n.applying.Lock() // a relay must not be given a port while it is opened here
	defer n.applying.Unlock()
	seen := make(map[int]bool)
	for _, port := range listen.Ports {
		if !n.ports.Contains(port) || seen[port] {
			return protocol.Invalid("port %d is not within %d-%d, or stands there twice", port, n.ports.First, n.ports.Last)
		}
		seen[port] = true
		if n.hasRelay(port) {
			return portInUse(port)
		}
	}
	err := n.listeners.Open(listen.Ports, listen.Token, time.Duration(listen.Seconds)*time.Second)
	if failed, ok := errors.AsType[*survey.ErrPort](err); ok {
		return portInUse(failed.Port)
	}
	return err
}

func portInUse(port int) *protocol.Error {
	return &protocol.Error{Code: "listen.port_in_use", Message: fmt.Sprintf("port %d is in use", port)}
}

func (n *Node) hasRelay(port int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.relays {
		if wanted := r.Wanted(); wanted != nil && (wanted.Port == port || wanted.StunPort == port) {
			return true
		}
	}
	return false
}
