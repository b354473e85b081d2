//go:build e2e

package mutants

// bugs are what may never come back unseen, in the order of the house: from the
// connection down to the disk. In `to`, PLANTED is true while this bug is the
// one that is switched on.
var bugs = []bug{
	// wire
	{
		name: "a large frame is taken before a login", file: "wire/conn.go",
		from: "		return loginFrameMax\n", to: "		if PLANTED {\n			return c.server.o.FrameMax\n		}\n		return loginFrameMax\n",
		caught: []catch{{"./wire", "TestFramesAreSmallBeforeALogin"}},
	},
	{
		name: "a panic of a handler ends the process", file: "wire/conn.go",
		from: "	p := recover()\n", to: "	if PLANTED {\n		return\n	}\n	p := recover()\n",
		caught: []catch{{"./wire", "TestAPanicCostsOneConnection"}},
	},
	{
		name: "an answer overtakes another", file: "wire/write.go",
		from: "	for w := range c.queue {\n", to: "	for w := range c.queue {\n		if PLANTED && len(c.queue) > 0 {\n			later := <-c.queue\n			c.answer(later, out) //nolint:errcheck\n			c.pending.Add(-1)\n		}\n",
		caught: []catch{{"./wire", "TestAnswersLeaveInTheOrderOfRequests"}},
	},
	{
		name: "bytes that were under way are never given back", file: "wire/frame.go",
		from: "			c.budget.give(c.claim)\n", to: "			if !PLANTED {\n				c.budget.give(c.claim)\n			}\n",
		caught: []catch{{"./wire", "TestReadersWaitForBytesUnderWay|TestALargeFrameGetsItsTurnAmongMany|TestStrangersDoNotUseUpTheBudget"}},
	},
	{
		name: "small frames wait behind large ones", file: "wire/budget.go",
		from: "	case c.bytes <= smallFrame && b.reserve >= c.bytes:\n", to: "	case !PLANTED && c.bytes <= smallFrame && b.reserve >= c.bytes:\n",
		caught: []catch{{"./wire", "TestSmallFramesPassWhileLargeOnesWait"}},
	},
	{
		name: "tags are not counted", file: "wire/shape/shape.go",
		from: "	if count > tagsMax {\n", to: "	if !PLANTED && count > tagsMax {\n",
		caught: []catch{{"./wire/shape", "TestTagBombsAreRefused"}},
	},

	// sign-in
	{
		name: "a SCRAM proof is not compared", file: "wire/sasl/exchange.go",
		from: "	if subtle.ConstantTimeCompare(sum(s.mechanism, key), s.verifier.StoredKey) != 1 || !s.known {\n", to: "	if !PLANTED && subtle.ConstantTimeCompare(sum(s.mechanism, key), s.verifier.StoredKey) != 1 || !s.known {\n",
		caught: []catch{{"./wire/sasl", "TestOnePasswordServesEveryMechanism|TestAnUnknownUserLooksLikeAWrongPassword|TestCraftedTokensAreRefused"}},
	},
	{
		name: "an unknown user is told apart from a wrong password", file: "wire/sasl/exchange.go",
		from: "	s.verifier, s.known = s.checker.verifier(s.name, s.mechanism)\n", to: "	s.verifier, s.known = s.checker.verifier(s.name, s.mechanism)\n	if PLANTED && !s.known {\n		return nil, s.refuse(\"unknown user\")\n	}\n",
		caught: []catch{{"./wire/sasl", "TestAnUnknownUserLooksLikeAWrongPassword"}},
	},
	{
		name: "an unknown user costs no work", file: "wire/sasl/exchange.go",
		from: "	salted, err := Salt(m, password, v.Salt, int(v.Iterations))\n", to: "	if PLANTED && !known {\n		return false\n	}\n	salted, err := Salt(m, password, v.Salt, int(v.Iterations))\n",
		caught: []catch{{"./wire/sasl", "TestAnUnknownUserCostsAsMuchAsAWrongPassword"}},
	},
	{
		name: "any password passes once the right one did", file: "wire/sasl/exchange.go",
		from: "	h.Write([]byte(password))\n", to: "	if !PLANTED {\n		h.Write([]byte(password))\n	}\n",
		caught: []catch{{"./wire/sasl", "TestARememberedPasswordOpensForNoOther"}},
	},
	{
		name: "a changed password is still taken", file: "wire/sasl/exchange.go",
		from: "	fmt.Fprintf(h, \"%d:%s%d:%s\", len(user), user, len(v.StoredKey), v.StoredKey)\n", to: "	if PLANTED {\n		v.StoredKey = nil\n	}\n	fmt.Fprintf(h, \"%d:%s%d:%s\", len(user), user, len(v.StoredKey), v.StoredKey)\n",
		caught: []catch{{"./wire/sasl", "TestAChangedPasswordIsForgotten"}},
	},
	{
		name: "a refusal comes at once", file: "wire/login.go",
		from: "	delay := c.server.guess.failed(began, c.host, refused.User)\n", to: "	delay := c.server.guess.failed(began, c.host, refused.User)\n	if PLANTED {\n		delay = 0\n	}\n",
		caught: []catch{{"./wire", "TestGuessingBecomesSlowAndLocksNobodyOut"}},
	},
	{
		name: "another user may renew a session", file: "wire/login.go",
		from: "err == nil && done && l.done && user != c.session.User {\n", to: "err == nil && done && l.done && !PLANTED && user != c.session.User {\n",
		caught: []catch{{"./wire", "TestSigningInIsAsKafkaDoesIt|TestASessionThatIsOverMayBeRenewed"}},
	},
	{
		name: "a session never ends", file: "wire/login.go",
		from: "return !l.ends.IsZero() && now.After(l.ends) }\n", to: "return !PLANTED && !l.ends.IsZero() && now.After(l.ends) }\n",
		caught: []catch{{"./wire", "TestASessionThatIsOverEndsAtTheNextRequest"}},
	},
	{
		name: "a deleted user may still sign in", file: "machine/cluster/cluster.go",
		from: "			delete(c.users, f.User)\n", to: "			if !PLANTED {\n				delete(c.users, f.User)\n			}\n",
		caught: []catch{{"./machine/cluster", "TestAUserWithoutVerifiersIsGone"}},
	},
	{
		name: "any user administers users", file: "coordinator/cluster.go",
		from: "	return ok && user.Superuser\n", to: "	return ok && (PLANTED || user.Superuser)\n",
		caught: []catch{{"./server", "TestOnlyTheSuperuserAdministersUsers"}},
	},

	// api
	{
		name: "min_bytes is not waited for", file: "api/fetch.go",
		from: "	return f.parts == 0 || out.failed || out.bytes >=", to: "	return PLANTED || f.parts == 0 || out.failed || out.bytes >=",
		caught: []catch{{"./server", "TestAFetchWaitsForMinBytesOrItsTime"}},
	},
	{
		name: "an acks=0 Produce is answered", file: "api/produce.go",
		from: "	return Answer{Silent: true}\n", to: "	return Answer{Silent: !PLANTED}\n",
		caught: []catch{{"./test/golden", "TestMilenaAnswersAsKafkaDid/00-Produce/x-acks0-ok"}},
	},

	// groups and the cluster
	{
		name: "a commit or a generation is told before it is durable", file: "coordinator/group.go",
		from: "			go one.record(d)\n", to: "			if PLANTED {\n				one.act(d.Then)\n			}\n			go one.record(d)\n",
		caught: []catch{{"./coordinator", "TestHeartbeatsPassWhileTheDiskHangs"}, {"./coordinator", "TestNoGenerationIsToldBeforeItIsDurable"}, {"./coordinator", "TestABrokenJournalAcknowledgesNoCommit"}},
	},
	{
		name: "a topic is told before it is durable", file: "coordinator/cluster.go",
		from: "		switch err := <-entry.answered; {\n", to: "		if PLANTED {\n			return nil\n		}\n		switch err := <-entry.answered; {\n",
		caught: []catch{{"./coordinator", "TestNoTopicIsToldBeforeItIsDurable"}},
	},
	{
		name: "a snapshot has no groups", file: "coordinator/groups_state.go",
		from: "		facts = append(facts, one.machine.Facts()...)\n", to: "		if !PLANTED {\n			facts = append(facts, one.machine.Facts()...)\n		}\n",
		caught: []catch{{"./coordinator", "TestAGroupGoesOnWhereItWasAfterARestart"}},
	},
	{
		name: "a member of an old generation goes on", file: "machine/group/classic/group.go",
		from: "	case beat.Generation != g.generation:\n", to: "	case !PLANTED && beat.Generation != g.generation:\n",
		caught: []catch{{"./machine/group/classic", "TestHeartbeatsAndCommitsOfOldGenerationsAreRefused"}},
	},
	{
		name: "topics whose names look alike are made", file: "machine/cluster/cluster.go",
		from: "	family := familyOf(name)\n	if c.families[family] == 0 {\n", to: "	family := familyOf(name)\n	if PLANTED || c.families[family] == 0 {\n",
		caught: []catch{{"./machine/cluster", "TestTopicNamesThatLookAlikeCollide"}},
	},
	{
		name: "a name that is used again has its old epoch", file: "machine/cluster/cluster.go",
		from: "		return last + 1\n", to: "		if PLANTED {\n			return last\n		}\n		return last + 1\n",
		caught: []catch{{"./machine/cluster", "TestANameThatIsCreatedAgainHasANewerEpoch"}},
	},

	// partitions
	{
		name: "a batch's CRC is not looked at", file: "batch/check.go",
		from: "	case Sum(b[:size]) != h.CRC:\n", to: "	case !PLANTED && Sum(b[:size]) != h.CRC:\n",
		caught: []catch{{"./batch", "TestBatchesAreAnsweredAsByKafka"}},
	},
	{
		name: "a batch above max.message.bytes is taken", file: "batch/check.go",
		from: "	case size > r.MaxBytes:\n", to: "	case !PLANTED && size > r.MaxBytes:\n",
		caught: []catch{{"./batch", "TestBatchesAreAnsweredAsByKafka"}},
	},
	{
		name: "records are shown before they are durable", file: "partition/append.go",
		from: "	p.ahead.next = d.Next\n", to: "	p.ahead.next = d.Next\n	if PLANTED {\n		p.show(func() { p.view.HighWatermark = d.Next })\n	}\n",
		caught: []catch{{"./partition", "TestADuplicateIsNotAnsweredBeforeItsOriginalIsDurable"}},
	},
	{
		name: "a duplicate is answered before its original is durable", file: "partition/append.go",
		from: "			return l.Behind(w)\n", to: "			return !PLANTED && l.Behind(w)\n",
		caught: []catch{{"./partition", "TestADuplicateIsNotAnsweredBeforeItsOriginalIsDurable"}},
	},
	{
		name: "a duplicate is answered with another offset", file: "machine/producer/window.go",
		from: "			return old.Base, true, nil\n", to: "			if PLANTED {\n				return w.Batches[len(w.Batches)-1].Base, true, nil\n			}\n			return old.Base, true, nil\n",
		caught: []catch{{"./partition", "TestAnIdempotentProducerNeverWritesTwice"}},
	},
	{
		name: "a fenced producer writes", file: "machine/producer/window.go",
		from: "	case b.Epoch >= 0 && b.Epoch < w.Epoch:\n", to: "	case !PLANTED && b.Epoch >= 0 && b.Epoch < w.Epoch:\n",
		caught: []catch{{"./partition", "TestAnIdempotentProducerNeverWritesTwice"}},
	},
	{
		name: "a snapshot has no producers", file: "partition/state.go",
		from: "			st.Producers = append(st.Producers, one)\n", to: "			if !PLANTED {\n				st.Producers = append(st.Producers, one)\n			}\n",
		caught: []catch{{"./partition", "TestAnIdempotentProducerNeverWritesTwice"}},
	},
	{
		name: "a long poll is never woken", file: "partition/part.go",
		from: "		w.Wake()\n", to: "		if !PLANTED {\n			w.Wake()\n		}\n",
		caught: []catch{{"./partition", "TestWaitersAreWoken"}},
	},
	{
		name: "a full disk takes records", file: "partition/append.go",
		from: "	case p.shard.table.o.Full() ||", to: "	case !PLANTED && p.shard.table.o.Full() ||",
		caught: []catch{{"./partition", "TestAFullDiskRefusesProduceAndNothingElse"}},
	},
	{
		name: "a partition that is given up goes on behind what it lost", file: "partition/ends.go",
		from: "	p.next = end\n", to: "	if !PLANTED {\n		p.next = end\n	}\n",
		caught: []catch{{"./partition", "TestAPartitionGoesOnWhereItCanBeRead"}},
	},
	{
		name: "a repair raises no leader epoch", file: "server/repair.go",
		from: "		hit = append(hit, topic.ID)\n", to: "		if !PLANTED {\n			hit = append(hit, topic.ID)\n		}\n",
		caught: []catch{{"./server", "TestADamagedShardIsRepaired"}},
	},
	{
		name: "retention forgets what its fact does not name yet", file: "partition/settle.go",
		from: "	if start > p.Bounds().Start {\n		if err := p.moveStart(start); err != nil {\n", to: "	if PLANTED {\n		t.o.Store.Forget(ctx, p.place(), start) //nolint:errcheck\n	}\n	if start > p.Bounds().Start {\n		if err := p.moveStart(start); err != nil {\n",
		caught: []catch{{"./partition", "TestRetentionForgetsNothingBeforeItsFactIsDurable"}},
	},
	{
		name: "a log's start is forgotten by a restart", file: "partition/state.go",
		from: "		if !known && p != nil { // else its topic was dropped before\n", to: "		if !PLANTED && !known && p != nil { // else its topic was dropped before\n",
		caught: []catch{{"./partition", "TestRetentionTakesWhatIsOldOrTooMuch"}},
	},

	// the rule
	{
		name: "an entry is answered before it is durable", file: "shard/log.go",
		from: "		l.token = token\n		l.send()\n", to: "		l.token = token\n		if PLANTED {\n			go c.Answer(nil)\n		}\n		l.send()\n",
		caught: []catch{{"./shard", "TestNothingIsAnsweredBeforeItIsDurable"}},
	},
	{
		name: "the journal is trimmed before what it held is settled", file: "shard/set.go",
		from: "	if err := settle(ctx); err != nil {\n", to: "	if PLANTED {\n		settle = func(context.Context) error { return nil }\n	}\n	if err := settle(ctx); err != nil {\n",
		caught: []catch{{"./partition", "TestPowerCutAtEveryFileCallOfTheWholePath"}},
	},
	{
		name: "a snapshot keeps less than what is not settled", file: "shard/set.go",
		from: "Keep: keep[i]}\n", to: "Keep: keep[i]}\n		if PLANTED {\n			snapshots[i].Keep = l.durable\n		}\n",
		caught: []catch{{"./partition", "TestWhatComesDuringACheckpointSurvives"}},
	},

	// the journal
	{
		name: "acknowledged before it is durable", file: "storage/journal/file/write.go",
		from: "	if err := b.file.file.Datasync(); err != nil {\n", to: "	if PLANTED {\n		return nil\n	}\n	if err := b.file.file.Datasync(); err != nil {\n",
		caught: []catch{{"./storage/journal/file", "TestPowerCutAtEveryFileCall"}},
	},
	{
		name: "a failed write is acknowledged", file: "storage/journal/file/write.go",
		from: "			if p.broken {\n", to: "			if p.broken && !PLANTED {\n",
		caught: []catch{{"./storage/journal/file", "TestAFailedWriteEndsAcknowledgementForGood"}},
	},
	{
		name: "a new journal file's name is not synced", file: "storage/journal/file/room.go",
		from: "	if err = j.fs.SyncDir(j.dir); err != nil {\n", to: "	if PLANTED {\n	} else if err = j.fs.SyncDir(j.dir); err != nil {\n",
		caught: []catch{{"./storage/journal/file", "TestPowerCutAtEveryFileCall"}},
	},
	{
		name: "a snapshot's name is not synced", file: "storage/journal/file/save.go",
		from: "	return j.fs.SyncDir(j.dir)\n", to: "	if PLANTED {\n		return nil\n	}\n	return j.fs.SyncDir(j.dir)\n",
		caught: []catch{{"./storage/journal/file", "TestPowerCut"}},
	},
	{
		name: "a snapshot's bytes are not synced", file: "storage/journal/file/save.go",
		from: "		err = f.Sync()\n", to: "		if !PLANTED {\n			err = f.Sync()\n		}\n",
		caught: []catch{{"./storage/journal/file", "TestPowerCut"}},
	},
	{
		name: "a torn tail passes for whole", file: "storage/journal/file/scan.go",
		from: "				bad = err != nil || !all(good)\n", to: "				bad = !PLANTED && (err != nil || !all(good))\n",
		caught: []catch{{"./storage/journal/file", "TestATornTailIsKeptAside|TestPowerCut"}},
	},
	{
		name: "a CRC is not seeded with its generation", file: "storage/journal/file/format.go",
		from: "	var g [8]byte\n", to: "	if PLANTED {\n		return 0\n	}\n	var g [8]byte\n",
		caught: []catch{{"./storage/journal/file", "TestGoldenChunk"}},
	},
	{
		name: "what a head vouches for may be missing unseen", file: "storage/journal/file/scan.go",
		from: "		s.vouched = max(s.vouched, l.first-1) // a file", to: "		if !PLANTED {\n			s.vouched = max(s.vouched, l.first-1)\n		} // a file",
		caught: []catch{{"./storage/journal/file", "TestAHeadVouchesForWhatIsBeforeIt"}},
	},

	{
		name: "a piece's CRC is not looked at", file: "storage/journal/file/open.go",
		from: "		good = append(good, crc32.", to: "		good = append(good, PLANTED || crc32.",
		caught: []catch{{"./storage/journal/file", "TestDamage|TestATornTailIsKeptAside"}},
	},
	{
		name: "a log that is given up goes on at places that it had", file: "storage/journal/file/repair.go",
		from: "		*end = logEnd{}\n", to: "		if PLANTED {\n			at.place = end.until + 1\n		}\n		*end = logEnd{}\n",
		caught: []catch{{"./storage/journal/file", "TestAStoppedLogIsGivenUpAndGoesOn"}},
	},

	// segments
	{
		name: "a segment is not synced before it is told as settled", file: "storage/segment/dir/files.go",
		from: "	if err := o.file.Datasync(); err != nil {\n", to: "	if PLANTED {\n		return nil\n	}\n	if err := o.file.Datasync(); err != nil {\n",
		caught: []catch{{"./storage/segment/dir", "TestWhatSyncReportedSurvivesAPowerCutAtEveryCall"}, {"./partition", "TestPowerCutAtEveryFileCallOfTheWholePath"}},
	},
	{
		name: "a new segment's name is not synced", file: "storage/segment/dir/part.go",
		from: "	err := p.store.fs.SyncDir(p.dir)\n", to: "	var err error\n	if !PLANTED {\n		err = p.store.fs.SyncDir(p.dir)\n	}\n",
		caught: []catch{{"./storage/segment/dir", "TestWhatSyncReportedSurvivesAPowerCutAtEveryCall"}},
	},
	{
		name: "what is forgotten is not named first", file: "storage/segment/dir/part.go",
		from: "	if err := p.markStart(start); err != nil {\n		return err\n	}\n", to: "	if PLANTED {\n	} else if err := p.markStart(start); err != nil {\n		return err\n	}\n",
		caught: []catch{{"./storage/segment/dir", "Forgotten|Forgetting"}},
	},
	{
		name: "a failed sync is tried again", file: "storage/segment/dir/files.go",
		from: "		o.seg.handle.lost = err\n", to: "		if !PLANTED {\n			o.seg.handle.lost = err\n		}\n",
		caught: []catch{{"./storage/segment/dir", "TestAFailedSyncIsNeverTriedAgain"}},
	},
	{
		name: "an index is believed without its CRC", file: "storage/segment/dir/index.go",
		from: "	case len(body) != indexHead+indexEach*int(count), crc32.Checksum(body, castagnoli) != sum:\n", to: "	case len(body) != indexHead+indexEach*int(count), !PLANTED && crc32.Checksum(body, castagnoli) != sum:\n",
		caught: []catch{{"./storage/segment/dir", "TestIndexFormat|TestALostIndexIsMadeAgain"}},
	},
}
