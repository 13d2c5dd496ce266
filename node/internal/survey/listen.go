// Package survey lets one server see another: probes of relays, and echo
// listeners that prove that ports can be reached at all.
package survey

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"
)

// MaxPorts and MaxSeconds bound one listen.
const (
	MaxPorts   = 16
	MaxSeconds = 60
)

// ErrPort says which port could not be opened.
type ErrPort struct {
	Port int
	Err  error
}

func (e *ErrPort) Error() string { return "port " + strconv.Itoa(e.Port) + ": " + e.Err.Error() }

func (e *ErrPort) Unwrap() error { return e.Err }

// Listeners answer a token on TCP and UDP for a while.
type Listeners struct {
	mu   sync.Mutex
	open map[int]*listener
}

// NewListeners has none open.
func NewListeners() *Listeners { return &Listeners{open: make(map[int]*listener)} }

// Open answers the token on all of the ports, or on none if one is taken. A
// port that is open already is opened anew.
func (l *Listeners) Open(ports []int, token string, lasting time.Duration) error {
	l.Close(ports)
	var opened []*listener
	for _, port := range ports {
		one, err := listen(port)
		if err != nil {
			for _, other := range opened {
				other.close()
			}
			return &ErrPort{Port: port, Err: err}
		}
		opened = append(opened, one)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, one := range opened {
		l.open[ports[i]] = one
		time.AfterFunc(lasting, one.close)
		go answerStreams(one.streams, token)
		go answerDatagrams(one.datagrams, token)
	}
	return nil
}

// Close ends the listeners on those of the ports that have one.
func (l *Listeners) Close(ports []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, port := range ports {
		if one := l.open[port]; one != nil {
			one.close()
			delete(l.open, port)
		}
	}
}

type listener struct {
	streams   net.Listener
	datagrams net.PacketConn
}

func listen(port int) (*listener, error) {
	address := ":" + strconv.Itoa(port)
	streams, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	datagrams, err := net.ListenPacket("udp", address)
	if err != nil {
		streams.Close()
		return nil, err
	}
	return &listener{streams: streams, datagrams: datagrams}, nil
}

func (l *listener) close() {
	l.streams.Close()
	l.datagrams.Close()
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// answerStreams gives the token back to who sends it; others learn nothing.
func answerStreams(listener net.Listener, token string) {
	slots := make(chan struct{}, 32)
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { connection.Close(); <-slots }()
			connection.SetDeadline(time.Now().Add(5 * time.Second))
			line, err := bufio.NewReaderSize(connection, 512).ReadSlice('\n')
			if err == nil && same(string(line), token+"\n") {
				connection.Write(line)
			}
		}()
	}
}

// answerDatagrams answers exactly what it got, so it amplifies nothing.
func answerDatagrams(connection net.PacketConn, token string) {
	buffer := make([]byte, 512)
	for {
		n, from, err := connection.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && same(string(buffer[:n]), token) {
			connection.WriteTo(buffer[:n], from)
		}
	}
}

// IsToken says whether text is 8 to 128 letters, digits, hyphens and underscores.
func IsToken(text string) bool {
	if len(text) < 8 || len(text) > 128 {
		return false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
