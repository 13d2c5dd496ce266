package node

import "sync"

// changes numbers what a panel must hear of, so that each watcher can ask
// what moved since it last looked and nothing is queued for slow ones.
type changes struct {
	mu     sync.Mutex
	number int64
	relays map[int64]int64 // relay -> number of its last change
	moved  chan struct{}   // closed at the next change
}

func newChanges() *changes {
	return &changes{relays: make(map[int64]int64), moved: make(chan struct{})}
}

// note marks a relay as changed; 0 is for what belongs to no relay's status.
func (c *changes) note(relay int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	if relay != 0 {
		c.relays[relay] = c.number
	}
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *changes) forget(relay int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.relays, relay)
}

// since lists the relays that changed after number, the number to ask with
// next, and a channel that closes at the next change.
func (c *changes) since(number int64) (relays []int64, now int64, moved <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for relay, at := range c.relays {
		if at > number {
			relays = append(relays, relay)
		}
	}
	return relays, c.number, c.moved
}
