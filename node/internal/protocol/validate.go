package protocol

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tailscale.com/types/key"
)

// PortRange is the ports relays may have on this server, both ends included.
type PortRange struct{ First, Last int }

func (r PortRange) contains(port int) bool { return r.First <= port && port <= r.Last }

// Contains says whether a relay may have the port.
func (r PortRange) Contains(port int) bool { return r.contains(port) }

// Validate refuses an apply that could not be made true, naming the relay.
func (a Apply) Validate(ports PortRange) error {
	if a.Generation < 1 {
		return invalidApply("generation %d is not positive", a.Generation)
	}
	if len(a.Relays) > MaxRelays {
		return invalidApply("%d relays, at most %d", len(a.Relays), MaxRelays)
	}
	ids := make(map[int64]bool, len(a.Relays))
	tcp, udp := make(map[int]int64), make(map[int]int64)
	for i := range a.Relays {
		relay := &a.Relays[i]
		if ids[relay.ID] {
			return invalidApply("relay %d stands there twice", relay.ID)
		}
		ids[relay.ID] = true
		if err := relay.validate(ports); err != nil {
			return invalidApply("relay %d: %s", relay.ID, err)
		}
		// Two that both run would fight for the port; a stopped one may keep its claim.
		if !relay.Running {
			continue
		}
		if other, taken := tcp[relay.Port]; taken {
			return invalidApply("relay %d: port %d is relay %d's", relay.ID, relay.Port, other)
		}
		if other, taken := udp[relay.StunPort]; taken {
			return invalidApply("relay %d: stun_port %d is relay %d's", relay.ID, relay.StunPort, other)
		}
		tcp[relay.Port], udp[relay.StunPort] = relay.ID, relay.ID
	}
	return nil
}

func invalidApply(format string, arguments ...any) *Error {
	return &Error{Code: "apply.invalid", Message: fmt.Sprintf(format, arguments...)}
}

func (r *Relay) validate(ports PortRange) error {
	if r.ID < 1 || r.Generation < 1 {
		return errors.New("id and generation must be positive")
	}
	if _, err := netip.ParseAddr(r.Address); err != nil || strings.Contains(r.Address, "%") {
		return errors.New("address is not an IP address")
	}
	if !ports.contains(r.Port) || !ports.contains(r.StunPort) {
		return fmt.Errorf("ports %d and %d must be within %d-%d", r.Port, r.StunPort, ports.First, ports.Last)
	}
	if _, err := key.ParseDERPMesh(r.MeshKey); err != nil || len(r.MeshKey) != 64 {
		return errors.New("mesh_key is not 64 hex digits")
	}
	if err := r.validatePair(); err != nil {
		return err
	}
	if r.RateBytesPerSecond < 0 {
		return errors.New("rate_bytes_per_second is negative")
	}
	if quota := r.Quota; quota != nil {
		switch {
		case quota.LimitBytes < 0 || quota.ThrottleBytesPerSecond < 0:
			return errors.New("quota is negative")
		case quota.AtLimit == AtLimitThrottle && quota.ThrottleBytesPerSecond == 0:
			return errors.New("quota throttles to no speed")
		case quota.AtLimit != AtLimitStop && quota.AtLimit != AtLimitThrottle:
			return errors.New("quota at_limit is neither stop nor throttle")
		}
	}
	if len(r.Devices) > MaxDevices {
		return fmt.Errorf("%d devices, at most %d", len(r.Devices), MaxDevices)
	}
	seen := make(map[string]bool, len(r.Devices))
	for i, device := range r.Devices {
		if _, err := ParseNodeKey(device.Key); err != nil {
			return fmt.Errorf("device %d: %s", i, err)
		}
		if seen[device.Key] {
			return fmt.Errorf("device %d stands there twice", i)
		}
		seen[device.Key] = true
	}
	return nil
}

func (r *Relay) validatePair() error {
	if _, err := tls.X509KeyPair([]byte(r.Certificate), []byte(r.PrivateKey)); err != nil {
		return errors.New("certificate and private_key are not a PEM pair")
	}
	leaf, err := r.leaf()
	if err != nil {
		return err
	}
	if err := leaf.VerifyHostname(r.Address); err != nil {
		return errors.New("certificate does not name the address")
	}
	return nil
}

func (r *Relay) leaf() (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(r.Certificate))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		// Clients take exactly one certificate beside derper's own.
		return nil, errors.New("certificate must be exactly one PEM block")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("certificate cannot be parsed")
	}
	return leaf, nil
}

// Pin is the lower-case hex SHA-256 of the certificate, as clients pin it.
func (r *Relay) Pin() string {
	block, _ := pem.Decode([]byte(r.Certificate))
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// ParseNodeKey takes "nodekey:" and 64 lower-case hex digits, nothing else.
func ParseNodeKey(text string) (key.NodePublic, error) {
	var public key.NodePublic
	if err := public.UnmarshalText([]byte(text)); err != nil || public.String() != text || public.IsZero() {
		return key.NodePublic{}, errors.New("key is not nodekey: and 64 lower-case hex digits")
	}
	return public, nil
}
