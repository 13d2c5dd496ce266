package process

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"derpman/node/internal/runtime"
)

// mark is what a relay's process carries in its environment, from the instant
// it exists, so that a node killed right after starting it still finds it.
type mark struct {
	State             string
	Relay, Generation int64
	Spec              string
	Label             string
}

const (
	markState      = "DERPMAN_STATE="
	markRelay      = "DERPMAN_RELAY="
	markGeneration = "DERPMAN_GENERATION="
	markSpec       = "DERPMAN_SPEC="
	markLabel      = "DERPMAN_LABEL="
)

func (m mark) environment() []string {
	return []string{
		markState + m.State,
		markRelay + strconv.FormatInt(m.Relay, 10),
		markGeneration + strconv.FormatInt(m.Generation, 10),
		markSpec + m.Spec,
		markLabel + m.Label,
	}
}

func parseMark(environment []byte) (m mark, err error) {
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		text := string(variable)
		switch {
		case strings.HasPrefix(text, markState):
			m.State = text[len(markState):]
		case strings.HasPrefix(text, markRelay):
			m.Relay, err = strconv.ParseInt(text[len(markRelay):], 10, 64)
		case strings.HasPrefix(text, markGeneration):
			m.Generation, err = strconv.ParseInt(text[len(markGeneration):], 10, 64)
		case strings.HasPrefix(text, markSpec):
			m.Spec = text[len(markSpec):]
		case strings.HasPrefix(text, markLabel):
			m.Label = text[len(markLabel):]
		}
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

// process is a live process as /proc shows it.
type process struct {
	pid   int
	ticks uint64 // start time in clock ticks since boot
	mark  mark
}

func (p *process) startID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", bootID(), p.pid, p.ticks))
	return hex.EncodeToString(sum[:8])
}

func (p *process) instance() runtime.Instance {
	return runtime.Instance{
		Relay:      p.mark.Relay,
		Generation: p.mark.Generation,
		Spec:       p.mark.Spec,
		StartID:    p.startID(),
		StartedAt:  startedAt(p.ticks),
		Condition:  runtime.Running,
		Handle:     strconv.Itoa(p.pid),
		Label:      p.mark.Label,
	}
}

// errGone means that the process ended, or is a zombie.
var errGone = errors.New("process is gone")

// look reads when a process started.
func look(pid int) (*process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, errGone
	}
	// The name in parentheses may hold anything; what follows does not (proc(5)).
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	fields := bytes.Fields(after)
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return nil, errGone
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return nil, err
	}
	return &process{pid: pid, ticks: ticks}, nil
}

// identify reads what a process is; nil when it is no relay of this state folder.
func identify(pid int, state string) *process {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(environment, []byte(markState+state+"\x00")) {
		return nil
	}
	m, err := parseMark(environment)
	if err != nil || m.State != state || m.Relay == 0 {
		return nil
	}
	// A program derper might start inherits its environment, not its command line.
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(command, []byte("\x00-verify-client-url\x00")) {
		return nil
	}
	p, err := look(pid)
	if err != nil {
		return nil
	}
	p.mark = m
	return p
}

// scan finds all relays of the state folder.
func scan(state string) ([]*process, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []*process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p := identify(pid, state); p != nil {
			found = append(found, p)
		}
	}
	return found, nil
}

// find looks an instance up again; nil when its process has ended.
func find(instance runtime.Instance) (*process, error) {
	pid, err := strconv.Atoi(instance.Handle)
	if err != nil {
		return nil, err
	}
	p, err := look(pid)
	if errors.Is(err, errGone) || (err == nil && p.startID() != instance.StartID) {
		return nil, nil
	}
	return p, err
}

// waitForEnd returns once the process has ended, without holding a thread.
func waitForEnd(pid int) error {
	descriptor, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(descriptor), "pidfd")
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(descriptor uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		ready, err := unix.Poll(poll, 0)
		return err == nil && ready == 1
	})
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// startedAt turns ticks since boot into an instant. Linux counts 100 to the
// second towards programs, on every architecture (USER_HZ).
func startedAt(ticks uint64) time.Time {
	var boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return time.Time{}
	}
	up := time.Duration(boot.Nano())
	since := up - time.Duration(ticks)*10*time.Millisecond
	return time.Now().Add(-since).UTC().Truncate(10 * time.Millisecond)
}
