package interop

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The Postman collection is run as a person would press Send on each request,
// top to bottom, against the server that it is written for.
func TestNewman(t *testing.T) {
	t.Parallel()
	node := needNode(t, "node")
	s := emptyServer(t)
	s.serve(t, "--demo")
	postman := filepath.Join("..", "postman")
	cmd := exec.Command(node, filepath.Join(nodeDir, "node_modules", "newman", "bin", "newman.js"), "run",
		filepath.Join(postman, "jeton.postman_collection.json"),
		"--environment", filepath.Join(postman, "jeton.postman_environment.json"),
		"--env-var", "base_url="+s.issuer, "--env-var", "metrics_url="+s.metrics, "--color", "off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("newman: %v", err)
	}
	t.Logf("%s", out)
}
