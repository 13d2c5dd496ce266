// Package host reads how the server itself is doing.
package host

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"derpman/node/internal/protocol"
)

// BootID is new with every boot of the server.
func BootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// Kernel is the release of the running kernel.
func Kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// CPUs is how many the server has.
func CPUs() int { return runtime.NumCPU() }

// Meter samples the server's load.
type Meter struct {
	folder string // whose disk is looked at

	mu         sync.Mutex
	busy, all  uint64 // clock ticks since boot, at sampledAt
	fraction   float64
	sampledAt  time.Time
	lastStatus protocol.HostStatus
}

// NewMeter looks at the disk that holds folder.
func NewMeter(folder string) *Meter { return &Meter{folder: folder} }

// Status is the load now; what was read within the last second is used again.
func (m *Meter) Status() protocol.HostStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.sampledAt) < time.Second {
		return m.lastStatus
	}
	m.sampleCPU()
	status := protocol.HostStatus{CPUFraction: m.fraction}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		status.Load1, _ = strconv.ParseFloat(first, 64)
	}
	var available int64
	status.MemoryBytes, available = memory()
	status.MemoryUsedBytes = status.MemoryBytes - available
	status.DiskBytes, status.DiskFreeBytes = disk(m.folder)
	status.NetSentBytes, status.NetReceivedBytes = network()
	m.sampledAt, m.lastStatus = time.Now(), status
	return status
}

func (m *Meter) sampleCPU() {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	var busy, all uint64
	for i, field := range strings.Fields(string(line)) {
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil || i > 8 { // guest time is part of user time already
			continue
		}
		all += ticks
		if i != 4 && i != 5 { // idle and waiting for disks
			busy += ticks
		}
	}
	if m.all != 0 && all > m.all {
		m.fraction = float64(busy-min(busy, m.busy)) / float64(all-m.all)
	}
	m.busy, m.all = busy, all
}

func memory() (total, available int64) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			available = kib << 10
		}
	}
	return total, available
}

func disk(folder string) (total, free int64) {
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil {
		return 0, 0
	}
	return int64(fs.Blocks) * fs.Bsize, int64(fs.Bavail) * fs.Bsize
}

// network sums all interfaces but the loopback and those of containers and bridges.
func network() (sent, received int64) {
	file, err := os.Open("/proc/net/dev")
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, found := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		fields := strings.Fields(rest)
		if !found || len(fields) < 9 || name == "lo" || isVirtual(name) {
			continue
		}
		in, _ := strconv.ParseInt(fields[0], 10, 64)
		out, _ := strconv.ParseInt(fields[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return sent, received
}

func isVirtual(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "tailscale"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Memory is the server's memory in bytes.
func Memory() int64 {
	total, _ := memory()
	return total
}

// DiskFree is what is left on the disk that holds folder, in bytes.
func DiskFree(folder string) int64 {
	_, free := disk(folder)
	return free
}
