package e2e

import (
	"bytes"
	"context"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/types/key"

	"derpman/node/internal/client"
	"derpman/node/internal/protocol"
)

// device is a Tailscale client's DERP side.
type device struct{ private key.NodePrivate }

func newDevice() *device { return &device{private: key.NewNode()} }

func (d *device) public() string { return d.private.Public().String() }

// link is a device's connection to a relay.
type link struct {
	t      *testing.T
	client *derphttp.Client
	got    chan []byte
	closed chan struct{}
}

func targetOf(relay protocol.Relay) client.Target {
	return client.Target{Host: "127.0.0.1", Port: relay.Port, StunPort: relay.StunPort, Name: relay.Address, Pin: relay.Pin(), MeshKey: relay.MeshKey}
}

// dial connects and says whether the relay let the device in.
func (d *device) dial(t *testing.T, relay protocol.Relay) (*link, bool) {
	t.Helper()
	target := targetOf(relay)
	c, err := target.DERP(d.private, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		c.Close()
		return nil, false
	}
	if _, err := c.Recv(); err != nil { // server info comes after admission
		c.Close()
		return nil, false
	}
	l := &link{t: t, client: c, got: make(chan []byte, 1024), closed: make(chan struct{})}
	t.Cleanup(func() { c.Close() })
	go func() {
		defer close(l.closed)
		for {
			message, err := c.Recv()
			if err != nil {
				c.Close()
				return
			}
			if packet, ok := message.(derp.ReceivedPacket); ok {
				l.got <- bytes.Clone(packet.Data)
			}
		}
	}()
	return l, true
}

func (d *device) mustDial(t *testing.T, relay protocol.Relay) *link {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if l, ok := d.dial(t, relay); ok {
			return l
		}
	}
	t.Fatal("device was not let in")
	return nil
}

func (d *device) mustBeRefused(t *testing.T, relay protocol.Relay) {
	t.Helper()
	if _, ok := d.dial(t, relay); ok {
		t.Fatal("device was let in")
	}
}

// send passes a payload to another device and waits until it is there.
func (l *link) send(to *device, via *link, payload []byte) {
	l.t.Helper()
	if err := l.client.Send(to.private.Public(), payload); err != nil {
		l.t.Fatal(err)
	}
	select {
	case got := <-via.got:
		if !bytes.Equal(got, payload) {
			l.t.Fatal("payload changed on the way")
		}
	case <-time.After(patience):
		l.t.Fatal("payload did not arrive")
	}
}

func (l *link) awaitClosed() {
	l.t.Helper()
	select {
	case <-l.closed:
	case <-time.After(patience):
		l.t.Fatal("connection was not closed")
	}
}

func (l *link) isOpen() bool {
	select {
	case <-l.closed:
		return false
	default:
		return true
	}
}
