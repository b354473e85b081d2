// Package e2e runs the real binary under real clients. Its tests stand behind
// the build tag e2e, for they need what scripts/install-test-tools installs.
//
// The acceptance statements that Milena began with, in the order of the page, and
// the tests that show them; statements_test.go keeps this table true. What a
// statement asks for and this instance does not have yet stands in brackets.
//
//	A1   one static binary, no other service, ready within 2 s
//	     TestA01OneStaticBinaryIsReadyWithinTwoSeconds
//	A2   one command prints all of the connection information [one page: the console]
//	     TestA02OneCommandPrintsAllOfTheConnectionInformation TestA02ConnectWritesWhatClientsNeed
//	A3   the page's four programs run unmodified [Python 3.7; this is 3.11]
//	     TestA03ThePagesFourProgramsRunUnmodified
//	A4   lists of addresses with dead ones among them, one entry, IPv6 literals [3 brokers]
//	     TestA04DeadBootstrapEntriesDoNotMatter TestA04AnIPv6LiteralIsAnAddress
//	A5   each listener hands out its own addresses
//	     TestA05EachListenerHandsOutItsOwnAddress
//	A6   topic_name and topic-name side by side; topic.name collides
//	     TestA06BothOfThePagesTopicNamesExistSideBySide
//	A7   auto-creation by producer and consumer; without it a clear error
//	     TestA07AMissingTopicIsMadeByProducerAndByConsumer TestA07WithoutAutoCreationAMissingTopicIsAClearError
//	A8   the first secure start makes the superuser, later ones keep it
//	     TestA08TheFirstSecureStartMakesTheSuperuserAndLaterOnesKeepIt
//	A9   users sign in at once; reset and deletion take effect [password rules]
//	     TestA09ACreatedUserSignsInAtOnceAndNotAfterItIsDeleted TestA09ANewPasswordHoldsAtOnceAndOpenConnectionsGoOn
//	A10  a secret is in no file and in no line [encrypted config values]
//	     TestA10ASecretIsInNoFileAndNoLine
//	A11  TLS 1.2 and 1.3; the chain verifies by phy_ca.crt, also strictly and by name
//	     TestA11OpenSSLTakesTheCertificatesStrictly TestA11ClientsSpeakTLS12And13AndNothingOlder
//	     TestA11PythonTakesTheCertificatesStrictly TestA11ThePagesProgramsRunOverEveryTLSVersion
//	A12  the root is called phy_ca.crt; a wrong or missing one is the client's error and one line
//	     TestA12TheRootIsCalledPhyCaCrtAndClientsInsistOnIt
//	A13  client.jks and client.p12, as keytool and OpenSSL read them
//	     TestA13TruststoresHoldTheRoot
//	A14  SASL_PLAINTEXT with the page's two lines commented and the context left over
//	     TestA14WithoutTLSTheLeftoverContextDoesNoHarm
//	A15  a disabled mechanism is refused with the list of those enabled
//	     TestA15ADisabledMechanismIsRefusedWithTheListOfThoseEnabled
//	A16  one user and password by every mechanism, from every sample client
//	     TestA16OnePasswordSignsInByEveryMechanism TestThePrintedProgramsRun
//	A17  mechanism and protocol are always shown
//	     TestA17ProtocolAndMechanismsAreAlwaysShown
//	A18  what a capture of the network shows
//	     TestA18ACaptureShowsWhatTheProtocolPromises
//	A19  what the producer sent is there after kill -9
//	     TestA19WhatTheProducerSentIsThereAfterKill
//	A20  two lines, exit 0, within 3 s
//	     TestA20TheProducerPrintsItsTwoLinesWithinThreeSeconds
//	A21  wrong password, unknown user: the client's exception, the broker's line and count [ACLs]
//	     TestA21WhatGoesWrongIsSaidByClientAndBroker
//	A22  an unknown group appears with its member; without auto-creation a fatal error
//	     TestA22AnUnknownGroupAppearsWithItsMember TestA22WithoutAutoCreationAnUnknownGroupIsAFatalError
//	A23  in order, within milliseconds, over a restart [leader move]
//	     TestA23MessagesComeInOrderAndSoon TestA23AConsumerOutlivesKillAndRestart
//	A24  the line is exact for every key and value
//	     TestA24TheLineIsExactForEveryKeyAndValue
//	A25  begins at the end, resumes, shares, takes over
//	     TestA25ANewGroupBeginsAtTheEndAndARestartResumes TestA25TwoConsumersShareAndOneTakesOver
//	A26  the plain listener beside the others, disabled by a restart [live]
//	     TestA26ThePlainListenerStandsBesideTheOthersAndCanBeDisabled
//	A28  the same in Go, down to the line
//	     TestA28ProduceAndConsumePrintThePagesLine
//
// A27, the console, and A29, several brokers and other engines, come later.
package e2e
