package docker

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"derpman/node/internal/relaybinary"
	"derpman/node/internal/runtime"
)

const (
	user   = 65532 // of the image, owns the relay's files
	inside = "/relay"

	pids      = 512
	openFiles = 65535
)

// template is the only form of container there is. What varies are numbers
// and one folder of ours, mounted for reading.
func (r *Runtime) template(spec runtime.Spec, label string) client.ContainerCreateOptions {
	limit, files := int64(pids), mostOpenFiles()
	return client.ContainerCreateOptions{
		Name: nameOf(spec),
		Config: &container.Config{
			Image:      relaybinary.Image + ":" + label,
			User:       fmt.Sprintf("%d:%d", user, user),
			WorkingDir: "/",
			Entrypoint: []string{relaybinary.Path},
			Cmd:        spec.Arguments(inside),
			// Go gives memory back in time instead of running into the limit.
			Env: []string{fmt.Sprintf("GOMEMLIMIT=%d", r.memory/5*4)},
			Labels: map[string]string{
				labelRelay:      strconv.FormatInt(spec.Relay, 10),
				labelGeneration: strconv.FormatInt(spec.Generation, 10),
				labelSpec:       spec.Hash(),
			},
		},
		HostConfig: &container.HostConfig{
			// STUN must tell the client's own address, and metrics stay on loopback.
			NetworkMode: "host",
			IpcMode:     "none",
			// The node alone decides what runs.
			RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges:true"},
			LogConfig: container.LogConfig{
				Type:   "json-file",
				Config: map[string]string{"max-size": "1m", "max-file": "2"},
			},
			Mounts: []mount.Mount{{
				Type: mount.TypeBind, Source: spec.Folder, Target: inside, ReadOnly: true,
			}},
			Resources: container.Resources{
				Memory:     r.memory,
				MemorySwap: r.memory,
				PidsLimit:  &limit,
				Ulimits:    []*container.Ulimit{{Name: "nofile", Soft: files, Hard: files}},
			},
		},
	}
}

// mostOpenFiles is what a relay may open: no more than we may ourselves, as
// where that is little Docker may not raise it either.
func mostOpenFiles() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return openFiles
	}
	return int64(min(openFiles, limit.Max))
}
