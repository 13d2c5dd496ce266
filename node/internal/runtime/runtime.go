// Package runtime is what the node needs of whatever runs derper for it.
package runtime

import (
	"context"
	"errors"
	"time"
)

// ErrNoImage means that there is no relay image or binary to start.
var ErrNoImage = errors.New("no relay image")

// Instance is a derper that runs or ran.
type Instance struct {
	Relay, Generation int64
	Spec              string // hash of what it was made from
	StartID           string // new for every start of the process
	StartedAt         time.Time
	Condition         Condition
	Handle            string // the runtime's own name for it
	Label             string // of what it was made from, "" when that is not known
}

// Condition of an instance.
type Condition int

// The conditions. Stuck is neither the one nor the other, such as a paused
// container: it must be removed before the relay can run.
const (
	Stuck Condition = iota
	Running
	Ended
)

// Everything stands for all relays in Events.
const Everything int64 = 0

// Runtime starts and ends derper. Find and List show only what is the node's own.
type Runtime interface {
	// Name is "docker" or "process".
	Name() string
	// Version is that of the Docker daemon, "" where there is none.
	Version(ctx context.Context) string
	// Label names the relay image in place, "" when there is none.
	Label(ctx context.Context) (string, error)
	// Install takes over a verified image archive.
	Install(ctx context.Context, archive, label string) error
	// Use goes back to an image that was installed before; ErrNoImage when it is not there any more.
	Use(ctx context.Context, label string) error
	// Owner is who must be able to read a relay's files; ok is false when that is us.
	Owner() (uid, gid int, ok bool)
	// List shows all instances.
	List(ctx context.Context) ([]Instance, error)
	// Find shows the instances of one relay.
	Find(ctx context.Context, relay int64) ([]Instance, error)
	// Start makes a relay run and returns once its process exists.
	Start(ctx context.Context, spec Spec) (Instance, error)
	// Reload makes a relay read its rate limits again.
	Reload(ctx context.Context, instance Instance) error
	// Remove kills an instance and leaves nothing of it. One that is gone already is no error.
	Remove(ctx context.Context, instance Instance) error
	// Events tells which relay's instances may have changed, until the context ends.
	Events(ctx context.Context) <-chan int64
}
