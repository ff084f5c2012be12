package interop

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// mcpServer is the least that an MCP server can be, behind tokens for itself.
type mcpServer struct {
	*httptest.Server
	resource string
	issuer   *server
}

func newMCPServer(t *testing.T) *mcpServer {
	t.Helper()
	m := &mcpServer{}
	mux := http.NewServeMux()
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	m.resource = m.URL + "/mcp"
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"resource": m.resource, "authorization_servers": []string{m.issuer.issuer}, "scopes_supported": []string{"notes:read"}})
	})
	mux.HandleFunc("POST /mcp", m.serve)
	return m
}

// serve answers an initialize, and takes notifications.
func (m *mcpServer) serve(w http.ResponseWriter, r *http.Request) {
	if err := m.let(r); err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+m.URL+`/.well-known/oauth-protected-resource/mcp"`)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var call struct {
		ID     any
		Params struct{ ProtocolVersion string }
	}
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &call); call.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": map[string]any{
		"protocolVersion": call.Params.ProtocolVersion, "capabilities": map[string]any{}, "serverInfo": map[string]any{"name": "notes", "version": "1"}}})
}

// let takes tokens of the issuer for this server alone.
func (m *mcpServer) let(r *http.Request) error {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	set, err := jwk.Fetch(r.Context(), m.issuer.jwks())
	if err != nil {
		return err
	}
	parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(set), jwt.WithIssuer(m.issuer.issuer), jwt.WithAudience(m.resource))
	if err != nil {
		return err
	}
	if aud, _ := parsed.Audience(); !slices.Equal(aud, []string{m.resource}) {
		return fmt.Errorf("the token is for %v", aud)
	}
	return nil
}

// documentSite publishes the document of a client, and returns its address and
// the certificate that vouches for it.
func documentSite(t *testing.T, redirectURI string) (id, certificate string) {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"client_id": s.URL + "/client.json", "client_name": "An MCP client", "redirect_uris": []string{redirectURI},
			"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none"})
	}))
	t.Cleanup(s.Close)
	certificate = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL + "/client.json", certificate
}

// TestF1_F2_MCPClient: the SDK's client has the URL of a protected MCP server and
// nothing else, and ends up connected to it: by its document, and by registering
// itself.
func TestF1_F2_MCPClient(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	const redirectURI = "http://127.0.0.1:3999/cb"
	m := newMCPServer(t)
	id, certificate := documentSite(t, redirectURI)
	m.issuer = newServer(t, "JETON_CLIENT_DOCUMENT_HOSTS=127.0.0.1", "JETON_CLIENT_DOCUMENT_SCOPES=openid,offline_access,notes:read",
		"JETON_OPEN_CLIENT_RESOURCES="+m.resource, "JETON_OUTBOUND_ALLOW=127.0.0.0/8", "SSL_CERT_FILE="+certificate,
		"JETON_CLIENT_REGISTRATION=open", "JETON_REGISTRATION_SCOPES=openid,offline_access,notes:read")
	m.issuer.runNode(t, "mcp.test.mjs", "INTEROP_MCP="+m.resource, "INTEROP_DOCUMENT="+id, "INTEROP_REDIRECT="+redirectURI)
}
