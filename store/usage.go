package store

import "context"

// warnAt is how many percent of its limit a log may use before the operator is
// warned.
const warnAt = 80

// Usage returns how full the log was at the last contact. It is zero if the
// log is no [UsageReporter].
func (x *Index) Usage() Usage {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.usage
}

// Full reports whether u has no room but for [Everything].
func (u Usage) Full() bool { return u.Limit > 0 && u.Entries >= u.Limit }

// high reports whether the log should be looked after.
func (u Usage) high() bool {
	return u.Limit > 0 && int64(u.Entries)*100 >= int64(u.Limit)*warnAt
}

// measure notes how full the log is, and warns each time it gets to warnAt
// percent. What cannot be measured stays as it was.
func (x *Index) measure(ctx context.Context) {
	reporter, ok := x.config.Revocations.(UsageReporter)
	if !ok {
		return
	}
	asking, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	usage, err := reporter.RevocationUsage(asking)
	if err != nil {
		return
	}
	x.mu.Lock()
	before := x.usage
	x.usage = usage
	x.mu.Unlock()
	if usage.ReadOnly && !before.ReadOnly {
		x.config.Logger.WarnContext(ctx, "revocations: the store takes nothing for now, perhaps because its disk is full; what is revoked holds on this node only until it does")
	}
	if usage.high() && !before.high() {
		x.config.Logger.WarnContext(ctx, "revocations: the log is nearly full; raise its limit, or revoke everything, which empties it",
			"entries", usage.Entries, "limit", usage.Limit)
	}
}
