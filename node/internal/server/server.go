// Package server speaks the node protocol on a Unix socket.
package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"derpman/node/internal/node"
	"derpman/node/internal/protocol"
)

const (
	writeWithin = 10 * time.Second // a panel that does not read that long is dropped
	sideBySide  = 16               // requests of one connection in flight
	connections = 64
)

// Server accepts panels.
type Server struct {
	node  *node.Node
	path  string
	group string
}

// New will listen on the socket at path, for root and the group.
func New(n *node.Node, path, group string) *Server {
	return &Server{node: n, path: path, group: group}
}

// Serve accepts panels until the context ends. A socket that vanishes, as
// when /run is emptied, is made again.
func (s *Server) Serve(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	slots := make(chan struct{}, connections)
	for ctx.Err() == nil {
		listener, err := s.listen()
		if err != nil {
			return err
		}
		s.accept(ctx, listener, slots, &serving)
	}
	return nil
}

func (s *Server) accept(ctx context.Context, listener *net.UnixListener, slots chan struct{}, serving *sync.WaitGroup) {
	defer listener.Close()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	made, _ := os.Stat(s.path)
	for {
		listener.SetDeadline(time.Now().Add(2 * time.Second))
		connection, err := listener.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if now, err := os.Stat(s.path); err != nil || !os.SameFile(made, now) {
				return
			}
			continue
		}
		if err != nil {
			if ctx.Err() == nil {
				slog.Error("socket does not accept", "error", err)
				time.Sleep(100 * time.Millisecond)
			}
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			connection.Close() // more panels than there can be
			continue
		}
		serving.Go(func() {
			defer func() { <-slots }()
			s.speak(ctx, connection)
		})
	}
}

func (s *Server) listen() (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return nil, err
	}
	// It gets its name when owner and mode are right.
	fresh := s.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err := s.hand(fresh); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// hand gives the socket to the group and puts it in place of an older one.
func (s *Server) hand(fresh string) error {
	if group, err := user.LookupGroup(s.group); err == nil && os.Geteuid() == 0 {
		id, err := strconv.Atoi(group.Gid)
		if err != nil {
			return err
		}
		if err := os.Chown(fresh, -1, id); err != nil {
			return err
		}
	}
	if err := os.Chmod(fresh, 0o660); err != nil {
		return err
	}
	return os.Rename(fresh, s.path)
}

// conversation is one connection. Lines are written whole, one at a time.
type conversation struct {
	node       *node.Node
	connection net.Conn
	cancel     context.CancelFunc
	writing    sync.Mutex
}

func (s *Server) speak(ctx context.Context, connection net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	c := &conversation{node: s.node, connection: connection, cancel: cancel}
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	var answering sync.WaitGroup
	defer answering.Wait()
	defer cancel()
	slots := make(chan struct{}, sideBySide)
	for lines := bufio.NewReaderSize(connection, 16<<10); ; {
		line, err := readLine(lines)
		if errors.Is(err, errTooLong) {
			c.refuse(0, protocol.Invalid("line longer than %d bytes", protocol.MaxLine))
			return
		}
		if err != nil {
			answering.Wait() // who only stopped asking still gets what he asked for
			return
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		request, err := protocol.Decode[protocol.Request](line)
		if err != nil {
			c.refuse(request.ID, err)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		answering.Go(func() {
			defer func() { <-slots }()
			c.answer(ctx, request)
		})
	}
}

var errTooLong = errors.New("line too long")

func readLine(lines *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := lines.ReadSlice('\n')
		if len(line)+len(part) > protocol.MaxLine {
			return nil, errTooLong
		}
		line = append(line, part...)
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, io.EOF // an unfinished line is no request
		}
	}
}

func (c *conversation) write(message any) error {
	line, err := protocol.Encode(message)
	if err != nil {
		slog.Error("answer cannot be written", "error", err)
		c.cancel()
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.connection.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, err = c.connection.Write(line); err != nil {
		c.cancel()
	}
	return err
}

func (c *conversation) refuse(id int64, err error) {
	refusal, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		slog.Error("request failed", "error", err)
		refusal = &protocol.Error{Code: "node.failed", Message: "the node failed; its log says why"}
	}
	c.write(protocol.Answer{ID: id, Err: refusal})
}
