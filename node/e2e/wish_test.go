package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

// newRelay is a wish for a relay on loopback with free ports.
func newRelay(t *testing.T, id int64, devices ...*device) protocol.Relay {
	t.Helper()
	return newRelayAt(t, id, "127.0.0.1", devices...)
}

func newRelayAt(t *testing.T, id int64, address string, devices ...*device) protocol.Relay {
	t.Helper()
	certificate, private := newPair(t, address)
	var mesh [32]byte
	rand.Read(mesh[:])
	relay := protocol.Relay{
		ID: id, Generation: 1, Address: address, Port: freePort(t), StunPort: freePort(t),
		Certificate: certificate, PrivateKey: private, MeshKey: hex.EncodeToString(mesh[:]),
		Running: true, Devices: []protocol.Device{},
	}
	for _, d := range devices {
		relay.Devices = append(relay.Devices, protocol.Device{Key: d.public()})
	}
	return relay
}

func newPair(t *testing.T, address string) (certificate, private string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: address},
		IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore:   time.Now().Add(-48 * time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

var portMu sync.Mutex
var nextPort = 21000 + os.Getpid()%500*8

// freePort is below the ports of outgoing connections and not given twice.
func freePort(t *testing.T) int {
	t.Helper()
	portMu.Lock()
	defer portMu.Unlock()
	for range 2000 {
		nextPort++
		tcp, err := net.Listen("tcp", fmt.Sprintf(":%d", nextPort))
		if err != nil {
			continue
		}
		tcp.Close()
		udp, err := net.ListenPacket("udp", fmt.Sprintf(":%d", nextPort))
		if err != nil {
			continue
		}
		udp.Close()
		return nextPort
	}
	t.Fatal("no free port")
	return 0
}
