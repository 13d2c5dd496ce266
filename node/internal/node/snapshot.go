package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"derpman/node/internal/host"
	"derpman/node/internal/launch"
	"derpman/node/internal/protocol"
	"derpman/node/internal/relay"
)

const (
	heartbeat = 5 * time.Second       // a whole snapshot at least so often
	gather    = 50 * time.Millisecond // changes that come together are told together
)

// Hello says who this node is and what it has.
func (n *Node) Hello(ctx context.Context) protocol.Hello {
	hello := protocol.Hello{
		Protocol: protocol.Version, Version: Version, Runtime: n.runtime.Name(), BootID: host.BootID(),
		Host: protocol.HelloHost{
			CPUs: host.CPUs(), MemoryBytes: host.Memory(), DiskFreeBytes: host.DiskFree(n.config.State),
			Kernel: host.Kernel(),
		},
		Program: n.sum, Upgrade: launch.Last(n.config.State),
	}
	if label, err := n.runtime.Label(ctx); err == nil && label != "" {
		hello.RelayLabel = &label
	}
	if version := n.runtime.Version(ctx); version != "" {
		hello.Host.Docker = &version
	}
	n.mu.Lock()
	hello.Generation = n.generation
	n.mu.Unlock()
	return hello
}

// Snapshot is the whole observed state, with what happened since the cursor.
func (n *Node) Snapshot(cursor string) protocol.Snapshot {
	n.mu.Lock()
	relays := make([]*relay.Relay, 0, len(n.relays))
	for _, r := range n.relays {
		relays = append(relays, r)
	}
	generation := n.generation
	n.mu.Unlock()
	snapshot := n.report(cursor, generation, relays)
	snapshot.Whole = true
	return snapshot
}

// changed is a snapshot of some relays.
func (n *Node) changed(cursor string, ids []int64) protocol.Snapshot {
	n.mu.Lock()
	relays := make([]*relay.Relay, 0, len(ids))
	for _, id := range ids {
		if r := n.relays[id]; r != nil {
			relays = append(relays, r)
		}
	}
	generation := n.generation
	n.mu.Unlock()
	return n.report(cursor, generation, relays)
}

func (n *Node) hostStatus() protocol.HostStatus {
	status := n.meter.Status()
	status.Admitted, status.Refused = n.admission.Answers()
	return status
}

// report tells of relays as they were wanted at a generation. Both must be
// read under one lock: a relay that a later wish added is missing here, and
// beside that wish's generation it would count as gone.
func (n *Node) report(cursor string, generation int64, relays []*relay.Relay) protocol.Snapshot {
	slices.SortFunc(relays, func(a, b *relay.Relay) int { return cmp.Compare(a.ID, b.ID) })
	page := n.journal.Since(cursor)
	snapshot := protocol.Snapshot{
		Cursor: page.Cursor, More: page.More, Generation: generation, At: protocol.Now(),
		Relays:  make([]protocol.RelayStatus, 0, len(relays)),
		Removed: page.Removed, Knocks: page.Knocks, Events: page.Events, Starts: page.Starts,
		Host: n.hostStatus(),
	}
	for _, r := range relays {
		snapshot.Relays = append(snapshot.Relays, r.Status())
	}
	return snapshot
}

// Watch sends a whole snapshot, then what changes as it changes and a whole
// one at every heartbeat, until the context ends or send fails. While send
// blocks nothing is queued; what changed meanwhile is told together.
func (n *Node) Watch(ctx context.Context, cursor string, send func(protocol.Snapshot) error) error {
	var seen int64
	var sent, whole time.Time
	for {
		ids, now, moved := n.changes.since(seen)
		var snapshot protocol.Snapshot
		if time.Since(whole) >= heartbeat {
			snapshot, whole = n.Snapshot(cursor), time.Now()
		} else {
			snapshot = n.changed(cursor, ids)
		}
		if snapshot.Whole || len(snapshot.Relays) > 0 || snapshot.Cursor != cursor {
			if err := send(snapshot); err != nil {
				return err
			}
			sent = time.Now()
		}
		seen, cursor = now, snapshot.Cursor
		if snapshot.More {
			continue
		}
		select {
		case <-ctx.Done():
		case <-moved:
			pause(ctx, time.Until(sent.Add(gather)))
		case <-time.After(time.Until(whole.Add(heartbeat))):
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
