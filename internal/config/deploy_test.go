package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// TestDeployedCluster checks that the configuration in deploy/cluster is valid,
// and that its orchestrators stop a node only after it has drained.
func TestDeployedCluster(t *testing.T) {
	const folder = "../../deploy/cluster/"
	d, err := Read(folder + "wsauth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	drain := d.Settings.Drain
	if drain == 0 {
		t.Fatal("no drain")
	}
	var compose struct {
		Services map[string]struct {
			Environment     map[string]string `yaml:"environment"`
			StopGracePeriod string            `yaml:"stop_grace_period"`
		} `yaml:"services"`
	}
	decodeFirst(t, folder+"compose.yaml", &compose)
	node := compose.Services["wsauth"]
	if grace, err := time.ParseDuration(node.StopGracePeriod); err != nil || grace <= drain {
		t.Errorf("compose.yaml: stop_grace_period %q, %v, want more than %v", node.StopGracePeriod, err, drain)
	}
	if node.Environment["WSAUTH_STORE"] == "" || node.Environment["WSAUTH_CLUSTER_SECRET_FILE"] == "" {
		t.Errorf("compose.yaml: environment %v, want a store and a secret", node.Environment)
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Grace int `yaml:"terminationGracePeriodSeconds"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	decodeFirst(t, folder+"kubernetes.yaml", &deployment)
	if grace := time.Duration(deployment.Spec.Template.Spec.Grace) * time.Second; grace <= drain {
		t.Errorf("kubernetes.yaml: terminationGracePeriodSeconds %v, want more than %v", grace, drain)
	}
}

// decodeFirst decodes the first document of a YAML file into v, and checks that
// the others are YAML.
func decodeFirst(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for into := v; ; into = new(any) {
		err := documents.Decode(into)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}
