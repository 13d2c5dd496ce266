package launch

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"derpman/node/internal/protocol"
)

const (
	// marker tells a program that it was chosen, and by whom.
	marker = "DERPMAN_NODE_CHOSEN"
	byExec = "exec"
	onTry  = "trial"

	// begin is the exit status by which a child asks for the plan to be looked at again.
	begin = 75

	steady    = 3 * time.Second // so long a new program must do well
	lookEvery = 200 * time.Millisecond
	grace     = 5 * time.Second
)

// Enter looks at the plan. It returns when this process is to be the node
// itself; otherwise this process becomes another program, or watches over one.
func Enter(state, socket string, within time.Duration) error {
	chosen := os.Getenv(marker)
	os.Unsetenv(marker)
	if chosen != "" {
		isChild = chosen == onTry
		return nil
	}
	p, err := read(state)
	if err != nil {
		slog.Error("plan of upgrades cannot be read; going on as installed", "error", err)
		return nil
	}
	if p.Trial != nil {
		if err := p.prove(state, socket, within); err != nil {
			return err
		}
	}
	return p.follow(state)
}

// isChild: whoever watches over this process looks at the plan when it ends.
var isChild bool

// Again ends this process and has the plan looked at. It returns only an error.
func Again() error {
	if isChild {
		os.Exit(begin)
	}
	return become(executable())
}

// prove tries the program on trial, unless it was tried before. On success it
// watches over it until it ends, and never returns.
func (p *plan) prove(state, socket string, within time.Duration) error {
	t := p.Trial
	if t.Begun {
		return p.back(state, "interrupted: it ended before it had proved itself")
	}
	if Sum(t.binary(state)) != t.SHA256 {
		return p.back(state, "the binary is damaged")
	}
	t.Begun = true
	if err := p.write(state); err != nil {
		return err
	}
	child, err := start(t.binary(state))
	if err != nil {
		return p.back(state, fmt.Sprintf("it does not start: %s", err))
	}
	if reason := child.judge(t, socket, within); reason != "" {
		child.end()
		if child.told.Load() { // both of us were told to end: that is no fault of its
			t.Begun = false
			if err := p.write(state); err != nil {
				slog.Error("plan of upgrades not written", "error", err)
			}
			os.Exit(0)
		}
		return p.back(state, reason)
	}
	if err := p.settle(state, protocol.UpgradeConfirmed, ""); err != nil {
		child.end()
		return p.back(state, fmt.Sprintf("its success cannot be written down: %s", err))
	}
	slog.Info("upgraded", "version", p.Last.Version)
	status := <-child.ended
	if status == begin {
		return become(executable())
	}
	os.Exit(status)
	return nil
}

// back notes that the trial failed; the program that ran before goes on.
func (p *plan) back(state, reason string) error {
	slog.Error("upgrade rolled back", "version", p.Trial.Version, "reason", reason)
	return p.settle(state, protocol.UpgradeRolledBack, reason)
}

// follow becomes the active program, if that is another one.
func (p *plan) follow(state string) error {
	if p.Active == nil {
		return nil
	}
	path := p.Active.binary(state)
	if path == executable() {
		return nil
	}
	if Sum(path) != p.Active.SHA256 {
		slog.Error("upgraded program is damaged; going on as installed", "path", path)
		return nil
	}
	os.Setenv(marker, byExec)
	err := become(path)
	os.Unsetenv(marker)
	slog.Error("upgraded program does not start; going on as installed", "error", err)
	return nil
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

func become(path string) error {
	return syscall.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ())
}

// child is a program on trial, and this one watching over it.
type child struct {
	pid   int
	ended chan int // its exit status, once
	told  atomic.Bool
}

func start(path string) (*child, error) {
	// The kernel ends the child with the thread that made it.
	runtime.LockOSThread()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	pid, err := syscall.ForkExec(path, append([]string{path}, os.Args[1:]...), &syscall.ProcAttr{
		Env:   append(os.Environ(), marker+"="+onTry),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		signal.Stop(signals)
		return nil, err
	}
	c := &child{pid: pid, ended: make(chan int, 1)}
	go func() {
		for s := range signals {
			c.told.Store(true)
			syscall.Kill(pid, s.(syscall.Signal))
		}
	}()
	go func() {
		status := reap(pid)
		signal.Stop(signals)
		close(signals)
		c.ended <- status
	}()
	return c, nil
}

// reap waits for the child. Relays that this process started before, as the
// node, are its children too and must not stay zombies.
func reap(child int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1
		case pid == child && status.Exited():
			return status.ExitStatus()
		case pid == child:
			return 128 + int(status.Signal())
		}
	}
}

func (c *child) end() {
	syscall.Kill(c.pid, syscall.SIGTERM)
	select {
	case <-c.ended:
		return
	case <-time.After(grace):
	}
	syscall.Kill(c.pid, syscall.SIGKILL)
	<-c.ended
}

// judge says what is wrong with the child, or "" once it has done well for a while.
func (c *child) judge(t *trial, socket string, within time.Duration) string {
	deadline, since := time.After(within), time.Time{}
	reason := "it does not answer"
	for tick := time.NewTicker(lookEvery); ; {
		select {
		case status := <-c.ended:
			c.ended <- status
			return fmt.Sprintf("it ended with status %d", status)
		case <-deadline:
			return fmt.Sprintf("after %s: %s", within, reason)
		case <-tick.C:
		}
		fault, err := look(t, socket)
		switch {
		case err != nil:
			reason, since = fmt.Sprintf("it does not answer: %s", err), time.Time{}
			if errors.Is(err, io.EOF) {
				reason = "it hangs up"
			}
		case fault.final:
			return fault.text
		case fault.text != "":
			reason, since = fault.text, time.Time{}
		case since.IsZero():
			reason, since = "it has only just begun to do well", time.Now()
		case time.Since(since) >= steady:
			tick.Stop()
			return ""
		}
	}
}
