// Package process runs derper as child processes: for machines without
// Docker. The processes outlive the node and are found again by what /proc
// says of them, so there is no record that could be wrong.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"derpman/node/internal/runtime"
)

const (
	logLimit   = 1 << 20 // bytes of a relay's log before it is begun anew
	openFiles  = 65535
	memoryHint = "GOMEMLIMIT=200MiB"
)

// Runtime implements runtime.Runtime.
type Runtime struct {
	state  string // folder whose relays are ours
	given  string // path of a derper from the configuration, or ""
	events chan int64

	mu      sync.Mutex
	watched map[string]bool // start ids whose end is being waited for
	own     map[int]*os.Process
	label   labelCache
}

// New runs the derper at given, or one that Install put into the state folder.
func New(state, given string) *Runtime {
	return &Runtime{
		state:   state,
		given:   given,
		events:  make(chan int64, 64),
		watched: make(map[string]bool),
		own:     make(map[int]*os.Process),
	}
}

// Name implements runtime.Runtime.
func (r *Runtime) Name() string { return "process" }

// Version implements runtime.Runtime.
func (r *Runtime) Version(context.Context) string { return "" }

// Owner implements runtime.Runtime: the processes run as the node itself.
func (r *Runtime) Owner() (uid, gid int, ok bool) { return 0, 0, false }

// List implements runtime.Runtime.
func (r *Runtime) List(context.Context) ([]runtime.Instance, error) {
	found, err := scan(r.state)
	if err != nil {
		return nil, err
	}
	instances := make([]runtime.Instance, 0, len(found))
	for _, p := range found {
		r.watch(p)
		instances = append(instances, p.instance())
	}
	return instances, nil
}

// Find implements runtime.Runtime.
func (r *Runtime) Find(ctx context.Context, relay int64) ([]runtime.Instance, error) {
	all, err := r.List(ctx)
	var of []runtime.Instance
	for _, instance := range all {
		if instance.Relay == relay {
			of = append(of, instance)
		}
	}
	return of, err
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	binary := r.binary()
	if binary == "" {
		return runtime.Instance{}, runtime.ErrNoImage
	}
	label, err := r.Label(ctx)
	if err != nil {
		label = "" // a derper that does not tell what it is may still run
	}
	output, err := openLog(filepath.Join(spec.Folder, "derper.log"))
	if err != nil {
		return runtime.Instance{}, err
	}
	defer output.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return runtime.Instance{}, err
	}
	defer nothing.Close()
	mark := mark{State: r.state, Relay: spec.Relay, Generation: spec.Generation, Spec: spec.Hash(), Label: label}
	child, err := os.StartProcess(binary, append([]string{binary}, spec.Arguments(spec.Folder)...), &os.ProcAttr{
		Dir:   "/",
		Env:   append(mark.environment(), memoryHint),
		Files: []*os.File{nothing, output, output},
		// A group of its own: what is sent to the node's group is not for the relays.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return runtime.Instance{}, err
	}
	raiseOpenFiles(child.Pid)
	p, err := look(child.Pid)
	if err != nil { // it is gone already
		child.Wait()
		return runtime.Instance{}, fmt.Errorf("derper ended at once: %w", err)
	}
	p.mark = mark
	r.mu.Lock()
	r.own[child.Pid] = child
	r.mu.Unlock()
	r.watch(p)
	return p.instance(), nil
}

// Reload implements runtime.Runtime.
func (r *Runtime) Reload(_ context.Context, instance runtime.Instance) error {
	return r.signal(instance, unix.SIGHUP)
}

// Remove implements runtime.Runtime.
func (r *Runtime) Remove(ctx context.Context, instance runtime.Instance) error {
	if err := r.signal(instance, unix.SIGKILL); err != nil {
		return err
	}
	for tick := time.NewTicker(2 * time.Millisecond); ; {
		if p, err := find(instance); p == nil || err != nil {
			tick.Stop()
			return err
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// signal reaches exactly the process the instance was, never one that got its number later.
func (r *Runtime) signal(instance runtime.Instance, signal unix.Signal) error {
	pid, err := strconv.Atoi(instance.Handle)
	if err != nil {
		return err
	}
	descriptor, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(descriptor)
	if p, err := find(instance); p == nil || err != nil {
		return err
	}
	if err := unix.PidfdSendSignal(descriptor, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Events implements runtime.Runtime.
func (r *Runtime) Events(context.Context) <-chan int64 { return r.events }

// watch tells of the end of a process, whether we started it or found it.
func (r *Runtime) watch(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := p.startID()
	if r.watched[id] {
		return
	}
	r.watched[id] = true
	go func() {
		if err := waitForEnd(p.pid); err != nil {
			slog.Error("relay process is polled for its end", "relay", p.mark.Relay, "error", err)
			for now, err := look(p.pid); err == nil && now.ticks == p.ticks; now, err = look(p.pid) {
				time.Sleep(250 * time.Millisecond)
			}
		}
		r.mu.Lock()
		delete(r.watched, id)
		child := r.own[p.pid]
		delete(r.own, p.pid)
		r.mu.Unlock()
		// A child of ours stays a zombie until asked for, also one of the program
		// that ran in this process before an upgrade was rolled back.
		if child != nil {
			child.Wait()
		} else {
			unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
		}
		r.events <- p.mark.Relay
	}()
}

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// TrimLogs empties the logs of running relays that have grown too long. They
// are open for appending, so derper goes on at the beginning.
func (r *Runtime) TrimLogs() {
	logs, _ := filepath.Glob(filepath.Join(r.state, "relays", "*", "derper.log"))
	for _, path := range logs {
		if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
			if err := os.Truncate(path, 0); err != nil {
				slog.Warn("relay log not trimmed", "path", path, "error", err)
			}
		}
	}
}

func raiseOpenFiles(pid int) {
	var limit unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit) != nil {
		return
	}
	limit.Cur = min(openFiles, limit.Max)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		slog.Warn("relay keeps the usual limit of open files", "error", err)
	}
}
