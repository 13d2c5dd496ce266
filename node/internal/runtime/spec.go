package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
)

// Files of a relay's folder, beside the certificate pair.
const (
	KeyFile  = "derper.key"
	MeshFile = "mesh.key"
	RateFile = "rate.json"
)

// Spec is all that makes one relay differ from another. There is nothing in
// it that could add a flag, a mount or an image.
type Spec struct {
	Relay, Generation int64
	Address           string // what the certificate names
	Port, StunPort    int
	Admission         string // URL the relay asks
	Folder            string // with the relay's files, on this host
	Secrets           string // hash over certificate, key and mesh key
}

// Arguments is derper's command line when its files are in folder.
func (s Spec) Arguments(folder string) []string {
	return []string{
		"-a", s.listen() + ":" + strconv.Itoa(s.Port),
		"-stun-port", strconv.Itoa(s.StunPort),
		"-http-port", "-1",
		"-home", "blank",
		"-hostname", s.Address,
		"-certmode", "manual",
		"-certdir", folder,
		"-c", filepath.Join(folder, KeyFile),
		"-mesh-psk-file", filepath.Join(folder, MeshFile),
		"-rate-config", filepath.Join(folder, RateFile),
		"-verify-client-url", s.Admission,
		"-verify-client-url-fail-open=false",
		// derper's 2 s and 15 s cut clients on slow and lossy paths.
		"-tcp-write-timeout", "5s",
		"-tcp-user-timeout", "30s",
	}
}

// listen is empty for all addresses. A relay for this machine alone stays on it.
func (s Spec) listen() string {
	address, err := netip.ParseAddr(s.Address)
	switch {
	case err != nil || !address.IsLoopback():
		return ""
	case address.Is6():
		return "[" + s.Address + "]"
	}
	return s.Address
}

// Local is the host at which the node reaches the relay itself.
func (s Spec) Local() string {
	if address, err := netip.ParseAddr(s.Address); err == nil && address.IsLoopback() {
		return s.Address
	}
	return "127.0.0.1"
}

var unsafeInFileName = regexp.MustCompile(`[^a-zA-Z0-9-\.]`)

// CertificateName is the file name, less its extension, under which derper
// looks for the pair (cmd/derper/cert.go drops the same characters).
func (s Spec) CertificateName() string {
	return unsafeInFileName.ReplaceAllString(s.Address, "")
}

// Hash changes exactly when a running relay must be made anew.
func (s Spec) Hash() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %d %s %q", s.Relay, s.Generation, s.Secrets, s.Arguments("/"))
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
