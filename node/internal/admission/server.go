package admission

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tailscale.com/tailcfg"

	"derpman/node/internal/protocol"
)

// Knock is an unlisted key that a relay asked about.
type Knock struct {
	Relay   int64
	Key     string
	Address string
	At      time.Time
}

// Server answers relays on a loopback address.
type Server struct {
	table  *Table
	knocks chan Knock
}

// NewServer answers from the table. Knocks must be drained with Listen.
func NewServer(table *Table) *Server {
	return &Server{table: table, knocks: make(chan Knock, 1024)}
}

// Listen hands knocks on, one at a time, until the context ends. A flood that
// outruns it is dropped: whoever is real knocks again within five seconds.
func (s *Server) Listen(ctx context.Context, take func(Knock)) {
	for {
		select {
		case <-ctx.Done():
			return
		case knock := <-s.knocks:
			take(knock)
		}
	}
}

// Serve answers on the listener until the context ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:        s,
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   5 * time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 4 << 10,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

var (
	yes = []byte(`{"Allow":true}`)
	no  = []byte(`{"Allow":false}`)
)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	door := s.door(r.URL.Path)
	if door == nil || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	var question tailcfg.DERPAdmitClientRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&question); err != nil {
		http.Error(w, "not a question", http.StatusBadRequest)
		return
	}
	answer := no
	now := protocol.Now()
	if allowed, _ := door.Allows(question.NodePublic, now); allowed {
		answer = yes
		s.table.admitted.Add(1)
	} else {
		s.refused(door, question, now)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

// refused makes a knock of a key that is not listed. A listed device whose
// time is over is none: the customer knows it already.
func (s *Server) refused(door *Door, question tailcfg.DERPAdmitClientRequest, now time.Time) {
	device := question.NodePublic
	if device.IsZero() || door.expected(device) {
		return
	}
	s.table.refused.Add(1)
	if !door.open.Load() {
		return
	}
	if _, listed := door.rules.Load().Devices[device]; listed {
		return
	}
	select {
	case s.knocks <- Knock{Relay: door.relay, Key: device.String(), Address: question.Source.String(), At: now}:
	default:
	}
}

func (s *Server) door(path string) *Door {
	id, token, ok := strings.Cut(strings.TrimPrefix(path, "/admit/"), "/")
	relay, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil {
		return nil
	}
	found, ok := s.table.doors.Load(relay)
	if !ok {
		return nil
	}
	door := found.(*Door)
	if subtle.ConstantTimeCompare([]byte(token), []byte(door.token)) != 1 {
		return nil
	}
	return door
}
