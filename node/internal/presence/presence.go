// Package presence knows which devices are connected to one relay, and cuts
// off those that may no longer be.
package presence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/types/key"

	"derpman/node/internal/client"
	"derpman/node/internal/protocol"
)

// Watcher follows the connections of one running relay.
type Watcher struct {
	target  client.Target
	allows  func(device key.NodePublic, now time.Time) (bool, time.Time)
	changed func()
	kicked  func(device key.NodePublic)

	mu        sync.Mutex
	link      *derphttp.Client
	connected bool
	present   map[key.NodePublic]protocol.Present
	asked     map[key.NodePublic]time.Time // kicks not yet seen to be done
	moved     chan struct{}                // closed when somebody comes or goes
	wake      chan struct{}
}

// retryKick is when a kick that did not end in the device leaving is repeated.
const retryKick = 500 * time.Millisecond

// New watches the relay at target. allows is asked for every device that is
// present; changed and kicked are told without a lock held.
func New(target client.Target, allows func(key.NodePublic, time.Time) (bool, time.Time), changed func(), kicked func(key.NodePublic)) *Watcher {
	return &Watcher{
		target: target, allows: allows, changed: changed, kicked: kicked,
		present: make(map[key.NodePublic]protocol.Present),
		asked:   make(map[key.NodePublic]time.Time),
		moved:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

// Run follows the relay until the context ends, connecting again whenever needed.
func (w *Watcher) Run(ctx context.Context) {
	go w.enforce(ctx)
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 500*time.Millisecond) {
		started := time.Now()
		_ = w.follow(ctx) // the checks tell why a relay cannot be reached
		if time.Since(started) > 10*time.Second {
			pause = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (w *Watcher) follow(ctx context.Context) error {
	link, err := w.target.DERP(key.NewNode(), true)
	if err != nil {
		return err
	}
	link.WatchConnectionChanges = true
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	defer link.Close()
	if err := link.Connect(ctx); err != nil {
		return err
	}
	w.begin(link)
	defer w.end()
	first := -1
	for {
		message, generation, err := link.RecvDetail()
		if err != nil {
			return err
		}
		if first < 0 {
			first = generation
		}
		if generation != first { // it reconnected by itself: what we knew is stale
			return errors.New("connection was replaced")
		}
		switch message := message.(type) {
		case derp.PeerPresentMessage:
			if message.Flags&derp.PeerPresentIsMeshPeer == 0 { // only our own clients have the mesh key
				w.arrived(message)
			}
		case derp.PeerGoneMessage:
			w.left(message.Peer)
		}
	}
}

func (w *Watcher) begin(link *derphttp.Client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link, w.connected = link, true
	w.stir()
}

func (w *Watcher) end() {
	w.mu.Lock()
	w.link, w.connected = nil, false
	clear(w.present)
	clear(w.asked)
	w.stir()
	w.mu.Unlock()
	w.changed()
}

func (w *Watcher) arrived(message derp.PeerPresentMessage) {
	w.mu.Lock()
	entry, again := w.present[message.Key]
	if !again {
		entry.Key, entry.Since = message.Key.String(), protocol.Now()
	}
	entry.Address = message.IPPort.String()
	w.present[message.Key] = entry
	delete(w.asked, message.Key) // a new connection needs a kick of its own
	w.mu.Unlock()
	w.Enforce()
	w.changed()
}

func (w *Watcher) left(device key.NodePublic) {
	w.mu.Lock()
	_, known := w.present[device]
	delete(w.present, device)
	delete(w.asked, device)
	w.stir()
	w.mu.Unlock()
	if known {
		w.changed()
	}
}

// Enforce makes every present device be looked at again, now.
func (w *Watcher) Enforce() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// enforce kicks at once when woken, and by itself when the time of a present
// device is over or a kick has had no effect.
func (w *Watcher) enforce(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		timer.Reset(time.Until(w.kick()))
	}
}

// kick closes the connections of those who may not be there and says when to look again.
func (w *Watcher) kick() time.Time {
	now := time.Now()
	next := now.Add(time.Hour)
	sooner := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	unwanted := make(map[key.NodePublic]bool) // true: asked before
	w.mu.Lock()
	link := w.link
	for device := range w.present {
		allowed, until := w.allows(device, now)
		switch last, already := w.asked[device]; {
		case allowed && !until.IsZero():
			sooner(until)
		case allowed:
		case already && now.Sub(last) < retryKick:
			sooner(last.Add(retryKick))
		default:
			unwanted[device] = already
			w.asked[device] = now
			sooner(now.Add(retryKick))
		}
	}
	w.mu.Unlock()
	for device, again := range unwanted {
		if link == nil || link.ClosePeer(device) != nil {
			break // the connection is made anew, and all are looked at again then
		}
		if !again {
			w.kicked(device)
		}
	}
	return next
}

// Present lists the connected devices in a fixed order.
func (w *Watcher) Present() []protocol.Present {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]protocol.Present, 0, len(w.present))
	for _, entry := range w.present {
		list = append(list, entry)
	}
	slices.SortFunc(list, func(a, b protocol.Present) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// Drain kicks everyone, as allows must by now, and says whether the relay was
// seen without a device before the context ended.
func (w *Watcher) Drain(ctx context.Context) bool {
	w.Enforce()
	for {
		w.mu.Lock()
		connected, count, moved := w.connected, len(w.present), w.moved
		w.mu.Unlock()
		if connected && count == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-moved:
		}
	}
}

// stir wakes those who wait for somebody to come or go; w.mu is held.
func (w *Watcher) stir() {
	close(w.moved)
	w.moved = make(chan struct{})
}
