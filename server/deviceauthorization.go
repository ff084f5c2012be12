package server

import (
	"net/http"

	"jeton/grants"
)

// deviceAuthorization is POST /device_authorization (RFC 8628 §3.1): something
// without a browser asks for a user who has one.
func (s *Server) deviceAuthorization(w http.ResponseWriter, r *http.Request) {
	noteOf(r.Context()).grantType = "device_authorization"
	f, client, err := s.authenticated(w, r)
	var codes grants.DeviceCodes
	if err == nil {
		codes, err = s.grants.AskDevice(r.Context(), client, f.get("scope"), f["resource"], s.sourceOf(r))
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.count(r, "device_authorization", "ok")
	s.allowOrigin(w, r)
	page, shown := s.cfg.Issuer+"/device", grants.ShowUserCode(codes.UserCode)
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": codes.DeviceCode, "user_code": shown,
		"verification_uri": page, "verification_uri_complete": page + "?user_code=" + shown,
		"expires_in": int(codes.ExpiresIn.Seconds()), "interval": int(codes.Interval.Seconds()),
	})
}
