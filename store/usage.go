package store

import "context"

// warnAt is the usage of the log, in percent, from which the operator is
// warned.
const warnAt = 80

// Usage returns the usage of the log at the last contact. It is zero if the
// log is not a [UsageReporter].
func (x *Index) Usage() Usage {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.usage
}

// Full reports whether the log accepts only revocations of [TargetAll].
func (u Usage) Full() bool { return u.Limit > 0 && u.Entries >= u.Limit }

// high reports whether the usage has reached warnAt.
func (u Usage) high() bool {
	return u.Limit > 0 && int64(u.Entries)*100 >= int64(u.Limit)*warnAt
}

// measure records the usage of the log, and logs a warning each time it
// reaches warnAt. If it cannot be determined, the last value is kept.
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
		x.config.Logger.WarnContext(ctx, "revocations: the store is read-only, perhaps because its disk is full; new revocations hold on this node only")
	}
	if usage.high() && !before.high() {
		x.config.Logger.WarnContext(ctx, "revocations: the log is nearly full; raise its limit, or revoke everything, which empties it",
			"entries", usage.Entries, "limit", usage.Limit)
	}
}
