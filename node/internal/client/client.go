// Package client reaches a relay the way Tailscale's clients do: pinned
// certificate, DERP over HTTP, STUN in Tailscale's form.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/net/netns"
	"tailscale.com/net/stun"
	"tailscale.com/net/tlsdial"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

func init() {
	// tailscaled marks its sockets so as to bypass itself; nothing here is tailscaled.
	netns.SetEnabled(false)
}

// Target is one relay and how to reach it.
type Target struct {
	Host     string // address to connect to
	Port     int
	StunPort int
	Name     string // address in the certificate
	Pin      string // lower-case hex SHA-256 of the certificate
	MeshKey  string // 64 hex digits, "" for a target that is not ours
}

func (t *Target) hostPort() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// TLSConfig is the check clients make of a pinned relay: Tailscale's own.
func (t *Target) TLSConfig() *tls.Config {
	config := tlsdial.Config(nil, nil)
	config.ServerName = t.Name
	tlsdial.SetConfigExpectedCertHash(config, t.Pin)
	return config
}

// IsPinMismatch tells a relay with another certificate from one that speaks no TLS.
func IsPinMismatch(err error) bool {
	return err != nil && strings.Contains(err.Error(), "cert hash does not match")
}

// HTTP is a client for the relay's web side that keeps one connection.
func (t *Target) HTTP() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSClientConfig:     t.TLSConfig(),
			TLSHandshakeTimeout: 5 * time.Second,
			MaxConnsPerHost:     1,
			IdleConnTimeout:     25 * time.Second, // derper ends idle ones after 30 s
			ReadBufferSize:      4 << 10,
			WriteBufferSize:     1 << 10,
		},
	}
}

// URL is an address on the relay's web side.
func (t *Target) URL(path string) string { return "https://" + t.hostPort() + path }

// Challenge proves that derper itself answers over HTTP, and no cache before it.
func (t *Target) Challenge(ctx context.Context, through *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL("/generate_204"), nil)
	if err != nil {
		return err
	}
	const challenge = "derpman"
	request.Header.Set("X-Tailscale-Challenge", challenge)
	response, err := through.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent || response.Header.Get("X-Tailscale-Response") != "response "+challenge {
		return fmt.Errorf("unexpected answer %d", response.StatusCode)
	}
	return nil
}

var monitor = netmon.NewStatic()

// DERP makes a client that logs in with the mesh key, or as a stranger
// without one. It connects when first used.
func (t *Target) DERP(private key.NodePrivate, mesh bool) (*derphttp.Client, error) {
	node := &tailcfg.DERPNode{
		Name:     "relay",
		RegionID: 1,
		HostName: t.Name,
		IPv4:     "none",
		IPv6:     "none",
		CertName: "sha256-raw:" + t.Pin,
		DERPPort: t.Port,
	}
	if address, err := netip.ParseAddr(t.Host); err == nil && address.Is6() {
		node.IPv6 = t.Host
	} else {
		node.IPv4 = t.Host
	}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "relay", Nodes: []*tailcfg.DERPNode{node}}
	c := derphttp.NewRegionClient(private, logger.Discard, monitor, func() *tailcfg.DERPRegion { return region })
	if mesh {
		meshKey, err := key.ParseDERPMesh(t.MeshKey)
		if err != nil {
			return nil, errors.New("mesh key cannot be parsed")
		}
		c.MeshKey = meshKey
	}
	return c, nil
}

// STUN asks the relay which address it sees, and returns that and the
// address it was asked from.
func (t *Target) STUN(ctx context.Context) (mapped, local netip.AddrPort, err error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(t.Host, strconv.Itoa(t.StunPort)))
	if err != nil {
		return mapped, local, err
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	local = connection.LocalAddr().(*net.UDPAddr).AddrPort()
	transaction := stun.NewTxID()
	if _, err := connection.Write(stun.Request(transaction)); err != nil {
		return mapped, local, err
	}
	buffer := make([]byte, 512)
	for {
		n, err := connection.Read(buffer)
		if ctx.Err() != nil {
			return mapped, local, ctx.Err()
		}
		if err != nil {
			return mapped, local, err
		}
		answered, address, err := stun.ParseResponse(buffer[:n])
		if err == nil && answered == transaction {
			return netip.AddrPortFrom(address.Addr().Unmap(), address.Port()), netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), nil
		}
	}
}
