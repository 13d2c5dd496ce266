package survey

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"derpman/node/internal/client"
	"derpman/node/internal/protocol"
)

// MaxTargets and MaxTimeout bound one probe.
const (
	MaxTargets = 64
	MaxTimeout = 5 * time.Second
)

// Probe looks at all targets side by side.
func Probe(ctx context.Context, targets []protocol.Target, timeout time.Duration) []protocol.ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results := make([]protocol.ProbeResult, len(targets))
	var looking sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i, target := range targets {
		looking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = probe(ctx, target)
		})
	}
	looking.Wait()
	return results
}

func probe(ctx context.Context, target protocol.Target) protocol.ProbeResult {
	result := protocol.ProbeResult{Address: target.Address, Port: target.Port}
	if _, err := netip.ParseAddr(target.Address); err != nil {
		text := "not an IP address"
		result.Error = &text
		return result
	}
	var err error
	if target.Token != nil {
		err = probeToken(ctx, target, &result)
	} else {
		err = probeRelay(ctx, target, &result)
	}
	if err != nil {
		text := err.Error()
		result.Error = &text
	}
	return result
}

func milliseconds(since time.Time) *float64 {
	ms := float64(time.Since(since).Microseconds()) / 1000
	return &ms
}

func dial(ctx context.Context, target protocol.Target, result *protocol.ProbeResult) (net.Conn, error) {
	started := time.Now()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(target.Address, strconv.Itoa(target.Port)))
	if err == nil {
		result.TCPMS = milliseconds(started)
		if deadline, ok := ctx.Deadline(); ok {
			err = connection.SetDeadline(deadline)
		}
	}
	return connection, err
}

func probeRelay(ctx context.Context, target protocol.Target, result *protocol.ProbeResult) error {
	relay := client.Target{Host: target.Address, Port: target.Port, Name: target.Address}
	var looking sync.WaitGroup
	if target.StunPort != nil {
		relay.StunPort = *target.StunPort
		looking.Go(func() {
			started := time.Now()
			if mapped, _, err := relay.STUN(ctx); err == nil {
				address := mapped.String()
				result.StunMS, result.StunAddress = milliseconds(started), &address
			}
		})
	}
	defer looking.Wait()
	connection, err := dial(ctx, target, result)
	if err != nil {
		return err
	}
	defer connection.Close()
	// Without a pin to expect, any certificate mismatches: enough to see TLS.
	if target.Pin != nil {
		relay.Pin = *target.Pin
	}
	secure := tls.Client(connection, relay.TLSConfig())
	err = secure.HandshakeContext(ctx)
	spoke := err == nil || client.IsPinMismatch(err)
	result.TLS = &spoke
	if target.Pin == nil {
		if spoke {
			return nil
		}
		return err
	}
	if spoke {
		matched := err == nil
		result.Pin = &matched
	}
	if err != nil {
		return err
	}
	through := &http.Client{Transport: &http.Transport{
		DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return secure, nil },
		DisableKeepAlives: true,
	}}
	err = relay.Challenge(ctx, through)
	answered := err == nil
	result.HTTP = &answered
	return err
}

// probeToken asks a listen of another node: both ways must bring the token back.
func probeToken(ctx context.Context, target protocol.Target, result *protocol.ProbeResult) error {
	datagram := make(chan bool, 1)
	go func() { datagram <- tokenByDatagram(ctx, target) }()
	connection, err := dial(ctx, target, result)
	answered := false
	if err == nil {
		defer connection.Close()
		if _, err = connection.Write([]byte(*target.Token + "\n")); err == nil {
			var line string
			line, err = bufio.NewReader(connection).ReadString('\n')
			answered = line == *target.Token+"\n"
		}
	}
	byDatagram := <-datagram
	result.TokenTCP, result.TokenUDP = &answered, &byDatagram
	return err
}

func tokenByDatagram(ctx context.Context, target protocol.Target) bool {
	connection, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(target.Address, strconv.Itoa(target.Port)))
	if err != nil {
		return false
	}
	defer connection.Close()
	buffer := make([]byte, 512)
	for ctx.Err() == nil { // a datagram may get lost: asked again until time is up
		if _, err := connection.Write([]byte(*target.Token)); err != nil {
			return false
		}
		connection.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, err := connection.Read(buffer); err == nil && string(buffer[:n]) == *target.Token {
			return true
		} else if err != nil && !isTimeout(err) {
			return false
		}
	}
	return false
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
