// Package checks looks at a relay as Tailscale's clients would.
package checks

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"

	"derpman/node/internal/client"
	"derpman/node/internal/protocol"
)

// EchoBytes is what one successful echo makes the relay send.
const EchoBytes = 8

// Light takes the looks that cost next to nothing: TLS and pin, the HTTP
// challenge, STUN. The HTTP client's kept connection is not used, as a relay
// that no longer accepts must be noticed.
func Light(ctx context.Context, target *client.Target) protocol.Checks {
	seen := protocol.Checks{At: protocol.Now()}
	stun := make(chan bool, 1)
	go func() { stun <- STUN(ctx, target) }()
	seen.TLS, seen.Pin, seen.HTTP = web(ctx, target)
	seen.STUN = <-stun
	return seen
}

func web(ctx context.Context, target *client.Target) (tlsUp, pin, challenge bool) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: target.TLSConfig()}
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(target.Host, strconv.Itoa(target.Port)))
	if client.IsPinMismatch(err) {
		return true, false, false
	}
	if err != nil {
		return false, false, false
	}
	through := &http.Client{Transport: &http.Transport{
		DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return connection, nil },
		DisableKeepAlives: true,
	}}
	defer connection.Close()
	return true, true, target.Challenge(ctx, through) == nil
}

// STUN says whether the relay tells the address it was asked from.
func STUN(ctx context.Context, target *client.Target) bool {
	for try := 0; try < 2 && ctx.Err() == nil; try++ { // one datagram may get lost
		within, cancel := context.WithTimeout(ctx, time.Second)
		mapped, local, err := target.STUN(within)
		cancel()
		if err == nil {
			return mapped == local
		}
	}
	return false
}

// Echo sends a packet between two clients of our own through the relay.
func Echo(ctx context.Context, target *client.Target) error {
	receiverKey := key.NewNode()
	receiver, err := target.DERP(receiverKey, true)
	if err != nil {
		return err
	}
	defer receiver.Close()
	sender, err := target.DERP(key.NewNode(), true)
	if err != nil {
		return err
	}
	defer sender.Close()
	stop := context.AfterFunc(ctx, func() { receiver.Close(); sender.Close() })
	defer stop()
	if err := receiver.Connect(ctx); err != nil {
		return err
	}
	// derper has registered a client once it sends its server info.
	if _, err := receiver.Recv(); err != nil {
		return err
	}
	payload := make([]byte, EchoBytes)
	rand.Read(payload)
	if err := sender.Connect(ctx); err != nil {
		return err
	}
	if err := sender.Send(receiverKey.Public(), payload); err != nil {
		return err
	}
	for {
		message, err := receiver.Recv()
		if err != nil {
			return err
		}
		if packet, ok := message.(derp.ReceivedPacket); ok && bytes.Equal(packet.Data, payload) {
			return nil
		}
	}
}

// ErrAdmitted means that the relay let a stranger in.
var ErrAdmitted = errors.New("a stranger was admitted")

// ErrNotAsked means that the relay refused a stranger without asking us.
var ErrNotAsked = errors.New("the relay did not ask")

// Stranger logs in with a key nobody knows: it must be refused, and after
// the relay asked. expect announces the key to the admission.
func Stranger(ctx context.Context, target *client.Target, expect func(key.NodePublic) (asked func() bool)) error {
	private := key.NewNode()
	asked := expect(private.Public())
	stranger, err := target.DERP(private, false)
	if err != nil {
		asked()
		return err
	}
	defer stranger.Close()
	stop := context.AfterFunc(ctx, func() { stranger.Close() })
	defer stop()
	if err := stranger.Connect(ctx); err != nil {
		if asked() && ctx.Err() == nil {
			return nil
		}
		return err
	}
	message, err := stranger.Recv()
	was := asked()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		if _, ok := message.(derp.ServerInfoMessage); ok {
			return ErrAdmitted
		}
		return errors.New("unexpected message")
	case !was:
		return ErrNotAsked
	}
	return nil
}
