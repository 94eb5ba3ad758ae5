/* Leases, tokens, expired leases and redrives of jobs, for Spin (https://spinroot.com). docs/design-proof.md says which
 * sentence each property stands for, what is left out, and how to run it; spin.py runs it.
 *
 * Each d_step is one script of the queue, which Redis runs as a whole: its name is in the comment above it. Anything may
 * happen between two steps: a worker may crash, sleep beyond its lease, or send a step again since the reply was lost.
 * Fields marked "ghost" are read by no script, only by the properties.
 *
 * -DNAME=1 puts a fault in: TOKENS_RESTART, say. test_leases.py lists them, each with the property that finds it.
 */

/* Bounds. */
#ifndef JOBS
#define JOBS 1
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef OPERATORS
#define OPERATORS 1
#endif
#ifndef ATTEMPTS      /* attempts allowed (retry.lua) */
#define ATTEMPTS 2
#endif
#ifndef DEATHS        /* expired leases allowed (start.lua) */
#define DEATHS 2
#endif
#ifndef REDRIVES      /* of each job */
#define REDRIVES 1
#endif
#ifndef GIVE_BACKS    /* of each job, in each of its lives */
#define GIVE_BACKS 1
#endif
#ifndef CRASHES       /* of workers between claim and start; later crashes are bounded by DEATHS alone */
#define CRASHES 1
#endif
#ifndef RENEWALS      /* of each attempt: its time limit */
#define RENEWALS 1
#endif

/* What happens to the server, at most so often for each job. A clock that steps back is covered by the token in the
 * record and in the letter, their loss is covered by the clock; both at once are not. */
#ifndef VANISHES      /* the record of a begun job expires before the job ended */
#define VANISHES 0
#endif
#ifndef FAILOVERS     /* the server forgets a start that it has answered */
#define FAILOVERS 0
#endif
#ifndef STEPS_BACK    /* the clock steps back to its beginning */
#define STEPS_BACK 0
#endif

#ifndef UNFENCED      /* the script that does not look at the token */
#define UNFENCED 0
#endif
#define RENEW 1
#define FINISH 2
#define RETRY 3
#define GIVE_BACK 4

#define NOBODY 0
#define MOST_STARTS (ATTEMPTS + DEATHS - 1 + GIVE_BACKS)

mtype = { queued, in_progress, completed, failed, cancelled, gone };

typedef Job {
  mtype status = queued;   /* of its record; gone: there is no record */
  byte token;              /* lease_token, the newest attempt's */
  byte retried;            /* retried_token */
  byte attempts;
  byte deaths;
  bit lapsed;              /* lease_until is over */
  byte entry = 1;          /* its entry in the stream; 0: none */
  byte entries = 1;        /* entries it ever had */
  bit claimed;             /* the entry is pending in the group */
  bit idle;                /* ... and nobody has touched it for a lease, or it was given back */
  bit begun;               /* the entry says that its job was begun */
  bit forgotten;           /* its consumer was deleted */
  bit scheduled;           /* its id is in the sorted set, its envelope in the hash `retrying` */
  byte letter;             /* its dead letter; 0: none */
  byte letters;            /* letters it ever had */
  byte letter_token;
  byte clock;              /* the server's clock, as far as this job has met it */
  byte given;              /* times given back in this life */
  byte redrives;
  byte vanished;
  byte failovers;
  byte steps_back;
  bit cancel_asked;
  /* ghosts */
  byte born;               /* attempts ever started */
  byte newest;             /* the attempt that the server takes for the newest of this life */
  byte writer;             /* the attempt whose outcome stands */
  byte writes;             /* outcomes written in this life */
  byte starts;             /* in this life */
  byte used;               /* the newest letter that was redriven or discarded */
  bit over;                /* it ended, and then its record expired or its letter was discarded */
}

Job J[JOBS];
byte crashes;

#define IS_OPEN(j) (J[j].status == queued || J[j].status == in_progress)
#define IS_FINAL(j) (J[j].status == completed || J[j].status == failed || J[j].status == cancelled)
#define HAS_ENDED(j) (IS_FINAL(j) || J[j].letter || J[j].over)

/* Properties, by what is wrong where one fails. */
mtype = {
  an_acknowledged_job_is_lost,
  a_result_is_written_twice,
  a_job_is_started_without_end,
  an_attempt_is_started_while_the_lease_of_another_holds,
  a_fenced_out_attempt_renews,
  an_attempt_is_told_that_its_outcome_stands_and_it_does_not,
  an_attempt_from_before_a_redrive_is_not_fenced_out,
  the_outcome_of_a_fenced_out_attempt_stands,
  a_fenced_out_attempt_retries,
  a_fenced_out_attempt_gives_its_job_back,
  a_letter_that_is_no_longer_there_is_redriven
};
#define NEVER(what, unless) if :: (unless) :: else -> printf("BROKEN %e\n", what); assert(false) fi

inline check(j) {
  NEVER(an_acknowledged_job_is_lost, J[j].entry || J[j].scheduled || HAS_ENDED(j));
  NEVER(a_result_is_written_twice, J[j].writes <= 1);
  NEVER(a_job_is_started_without_end, J[j].starts <= MOST_STARTS)
}

/* ---- what scripts share ---- */

/* The clock moves on between two steps that ask it: a step takes longer than a microsecond. */
inline next_token(j, old) {
  J[j].clock++;
#if TOKENS_COUNTED || TOKENS_RESTART
  J[j].token = old + 1
#else
  J[j].token = (old + 1 > J[j].clock -> old + 1 : J[j].clock)
#endif
}

inline close(j, outcome, by) {
  J[j].status = outcome; J[j].entry = 0; J[j].claimed = 0; J[j].idle = 0; J[j].begun = 0; J[j].lapsed = 0;
  J[j].scheduled = 0; J[j].forgotten = 0; J[j].writer = by; J[j].writes++
}

inline add_letter(j) {
  J[j].letters++; J[j].letter = J[j].letters;
#if LETTERS_WITHOUT_TOKEN
  J[j].letter_token = 0
#else
  J[j].letter_token = J[j].token
#endif
}

inline bury(j) {
  add_letter(j); close(j, failed, NOBODY);
  printf("the job is given up on: dead letter %d\n", J[j].letter)
}

/* An entry whose job was begun and whose record is gone. */
inline abandon(j) {
  J[j].token = 0; add_letter(j);
  printf("the job is given up on: dead letter %d\n", J[j].letter)
}

inline put_into_stream(j, was_begun) {
  J[j].entries++; J[j].entry = J[j].entries; J[j].claimed = 0; J[j].idle = 0; J[j].begun = was_begun; J[j].forgotten = 0
}

inline run_it(j) {
  next_token(j, J[j].token);
  J[j].status = in_progress; J[j].attempts++; J[j].lapsed = 0; J[j].claimed = 1; J[j].idle = 0; J[j].begun = 1;
  J[j].born++; J[j].starts++; J[j].newest = J[j].born;
#if RELEASED_UNSEEN
  J[j].forgotten = 0;
#endif
  token = J[j].token; attempt = J[j].born;
  printf("W%d starts job %d: attempt %d, token %d\n", _pid, j, attempt, token)
}

/* ---- a worker ---- */

/* start.lua */
inline start(j) {
  d_step {
    token = 0; attempt = NOBODY;
    if
    :: J[j].entry != entry -> skip                                      /* stale, or its job has ended */
    :: J[j].entry == entry && J[j].status == gone ->
         printf("W%d finds no record of job %d\n", _pid, j);
         J[j].entry = 0; J[j].claimed = 0; J[j].idle = 0;
#if VANISHED_UNSEEN
         J[j].begun = 0
#else
         if :: J[j].begun -> abandon(j); J[j].begun = 0 :: else fi
#endif
    :: J[j].entry == entry && J[j].status == queued -> run_it(j)
#if !LEASES_IGNORED
    :: J[j].entry == entry && J[j].status == in_progress && !J[j].lapsed -> J[j].idle = 0
    :: J[j].entry == entry && J[j].status == in_progress && J[j].lapsed ->
#else
    :: J[j].entry == entry && J[j].status == in_progress ->
#endif
         printf("W%d finds the lease of job %d over\n", _pid, j);
         NEVER(an_attempt_is_started_while_the_lease_of_another_holds, J[j].lapsed);
#if !DEATHS_UNCOUNTED
         J[j].deaths++;
#endif
         if
         :: J[j].deaths >= DEATHS -> bury(j)
         :: else -> run_it(j)
         fi
    fi;
    check(j)
  }
}

/* start.lua again, with the same nonce. */
inline start_again(j) {
  d_step {
    if
    :: J[j].status == in_progress && J[j].newest == attempt && J[j].entry == entry ->
         J[j].lapsed = 0; J[j].claimed = 1; J[j].idle = 0
    :: else -> token = 0
    fi
  }
}

/* start.lua, answered, and lost with the server that answered. */
inline start_is_forgotten(j) {
  d_step {
    J[j].failovers++; J[j].clock++; J[j].born++; attempt = J[j].born;
#if TOKENS_COUNTED
    token = J[j].token + 1;
#else
    token = (J[j].token + 1 > J[j].clock -> J[j].token + 1 : J[j].clock);
#endif
    printf("W%d starts job %d: attempt %d, token %d; a failover forgets it\n", _pid, j, attempt, token)
  }
}

/* reject.lua */
inline reject(j) {
  d_step {
    if
    :: J[j].entry != entry -> skip
    :: J[j].entry == entry && J[j].status == in_progress && !J[j].lapsed -> skip
    :: J[j].entry == entry && J[j].status == gone ->
         abandon(j); J[j].entry = 0; J[j].claimed = 0; J[j].idle = 0; J[j].begun = 0
    :: else -> printf("W%d rejects job %d\n", _pid, j); bury(j)
    fi;
    check(j)
  }
}

#define FENCED_OUT(j, script) (J[j].status == gone || (J[j].token != token && UNFENCED != script))

/* Whose token fits is told what became of the job, and not that it lost it. */
inline is_newest(j) {
  printf("W%d is told what became of job %d: attempt %d, token %d\n", _pid, j, attempt, token);
  NEVER(an_attempt_from_before_a_redrive_is_not_fenced_out, J[j].newest == attempt)
}

/* renew.lua */
inline renew(j) {
  d_step {
    if
    :: FENCED_OUT(j, RENEW) -> token = 0
    :: !FENCED_OUT(j, RENEW) && J[j].status != in_progress -> is_newest(j); token = 0
    :: else ->
         NEVER(a_fenced_out_attempt_renews, J[j].newest == attempt);
         J[j].lapsed = 0; J[j].claimed = 1; J[j].idle = 0
    fi
  }
}

/* finish.lua */
#if DONE_BY_STATUS
#define IS_REPEATED(j, outcome) (J[j].status == outcome)
#else
#define IS_REPEATED(j, outcome) (J[j].status == outcome && J[j].retried == token)
#endif
#if FINISH_OVERWRITES
#define MAY_FINISH(j) (J[j].status != queued)
#else
#define MAY_FINISH(j) (J[j].status == in_progress)
#endif
inline finish(j, outcome) {
  d_step {
    if
    :: FENCED_OUT(j, FINISH) -> skip
    :: !FENCED_OUT(j, FINISH) && IS_REPEATED(j, outcome) ->
         printf("W%d is told that job %d is done: attempt %d, token %d\n", _pid, j, attempt, token);
         NEVER(an_attempt_is_told_that_its_outcome_stands_and_it_does_not, J[j].writer == attempt)
    :: !FENCED_OUT(j, FINISH) && !IS_REPEATED(j, outcome) && !MAY_FINISH(j) -> is_newest(j)
    :: !FENCED_OUT(j, FINISH) && !IS_REPEATED(j, outcome) && MAY_FINISH(j) ->
         printf("W%d finishes job %d: attempt %d, token %d, %e\n", _pid, j, attempt, token, outcome);
         NEVER(the_outcome_of_a_fenced_out_attempt_stands, J[j].newest == attempt);
         close(j, outcome, attempt); J[j].retried = token
    fi;
    check(j)
  }
}

/* retry.lua */
inline retry(j) {
  d_step {
    if
    :: FENCED_OUT(j, RETRY) -> skip
    :: !FENCED_OUT(j, RETRY) && J[j].retried == token ->                        /* the reply was lost */
         printf("W%d is told that job %d is scheduled: attempt %d, token %d\n", _pid, j, attempt, token);
         NEVER(a_fenced_out_attempt_retries, J[j].newest == attempt)
    :: !FENCED_OUT(j, RETRY) && J[j].retried != token && J[j].status != in_progress -> is_newest(j)
    :: else ->
         printf("W%d retries job %d: attempt %d, token %d\n", _pid, j, attempt, token);
         NEVER(a_fenced_out_attempt_retries, J[j].newest == attempt);
         J[j].retried = token;
         if
#if !ATTEMPTS_UNLIMITED
         :: J[j].attempts >= ATTEMPTS -> bury(j)
#endif
         :: else ->
              J[j].status = queued; J[j].entry = 0; J[j].claimed = 0; J[j].idle = 0; J[j].lapsed = 0; J[j].begun = 0;
#if RETRY_IN_TWO_STEPS
              to_schedule = 1
#else
              J[j].scheduled = 1
#endif
         fi
    fi;
#if !RETRY_IN_TWO_STEPS
    check(j)
#endif
  }
}

/* give_back.lua */
inline give_back(j) {
  d_step {
    if
    :: FENCED_OUT(j, GIVE_BACK) -> skip
    :: !FENCED_OUT(j, GIVE_BACK) && J[j].retried == token ->
         printf("W%d is told that job %d is given back: attempt %d, token %d\n", _pid, j, attempt, token);
         NEVER(a_fenced_out_attempt_gives_its_job_back, J[j].newest == attempt)
    :: !FENCED_OUT(j, GIVE_BACK) && J[j].retried != token && J[j].status != in_progress -> is_newest(j)
    :: else ->
         printf("W%d gives job %d back: attempt %d, token %d\n", _pid, j, attempt, token);
         NEVER(a_fenced_out_attempt_gives_its_job_back, J[j].newest == attempt);
         J[j].retried = token; J[j].status = queued; J[j].attempts--; J[j].given++;
         J[j].lapsed = 0; J[j].claimed = 1;
#if RELEASED_UNSEEN
         J[j].forgotten = 1
#else
         J[j].idle = 1
#endif
    fi;
    check(j)
  }
}

inline forget_all() { entry = 0; token = 0; attempt = NOBODY; renewals = 0; sent = 0; again = 0; j = 0 }

active [WORKERS] proctype Worker() {
  byte j, entry, token, attempt, renewals;
  mtype sent;            /* the step that ended the attempt; 0: none yet */
  bit again;             /* it was sent a second time */
#if RETRY_IN_TWO_STEPS
  bit to_schedule;
#endif

end_idle:
  atomic {               /* claim.lua, or sweep.lua */
    if
    :: J[0].entry && (!J[0].claimed || J[0].idle) -> j = 0
#if JOBS > 1
    :: J[1].entry && (!J[1].claimed || J[1].idle) -> j = 1
#endif
    fi;
    entry = J[j].entry; J[j].claimed = 1; J[j].idle = 0
  }

  if
  :: start(j);
     if
     :: attempt != NOBODY -> start_again(j)         /* the reply was lost */
     :: true
     fi
  :: d_step { J[j].failovers < FAILOVERS && J[j].entry == entry && J[j].status == queued -> skip };
     start_is_forgotten(j)
  :: reject(j)
  :: d_step { crashes < CRASHES -> crashes++; attempt = NOBODY;
     printf("W%d crashes before it starts job %d\n", _pid, j) }
#if LEAVING_FORGETS
  :: d_step { J[j].entry == entry && J[j].status == queued -> J[j].forgotten = 1; printf("W%d leaves, and what it claimed with it\n", _pid) }
#endif
  fi;

  do                     /* works; a crash loses the token */
  :: token && renewals < RENEWALS -> renewals++; renew(j)
  :: token -> sent = completed; break
  :: token -> sent = failed; break
  :: token -> sent = queued; break
  :: token && J[j].given < GIVE_BACKS -> sent = gone; break
  :: token -> printf("W%d crashes at work on job %d\n", _pid, j); token = 0
  :: !token -> break
  od;

ends:                    /* perhaps twice, since the reply was lost */
  if
  :: token && sent == completed -> finish(j, completed)
  :: token && sent == failed -> finish(j, failed)
  :: token && sent == queued -> retry(j)
  :: token && sent == gone -> give_back(j)
  :: else
  fi;
#if RETRY_IN_TWO_STEPS
  if
  :: to_schedule -> d_step { to_schedule = 0; J[j].scheduled = 1 }
  :: to_schedule -> d_step { to_schedule = 0; printf("W%d crashes amid its retry\n", _pid); check(j) }
  :: !to_schedule
  fi;
#endif
  if
  :: token && !again -> again = 1; goto ends
  :: true
  fi;
  d_step { forget_all() };
  goto end_idle
}

/* ---- the world ---- */

/* An operator lists a dead letter, and some time later redrives or discards it. */
active [OPERATORS] proctype Operator() {
  byte j, seen;

end_reads:
  atomic {
    if
    :: J[0].letter && J[0].redrives < REDRIVES -> j = 0
#if JOBS > 1
    :: J[1].letter && J[1].redrives < REDRIVES -> j = 1
#endif
    fi;
    seen = J[j].letter;
    printf("O%d reads letter %d of job %d\n", _pid, seen, j)
  }
  if
  :: d_step {            /* revive.lua */
       if
#if !REDRIVE_UNSEEN
       :: J[j].letter != seen -> skip                                   /* gone */
#endif
       :: IS_OPEN(j) -> skip                                            /* open */
       :: else ->
            printf("O%d redrives letter %d of job %d\n", _pid, seen, j);
            NEVER(a_letter_that_is_no_longer_there_is_redriven, J[j].used < seen);
            J[j].used = seen; J[j].redrives++;
#if TOKENS_RESTART
            J[j].token = 0;
#else
            J[j].token = (J[j].token > J[j].letter_token -> J[j].token : J[j].letter_token);
#if !TOKENS_NOT_RAISED
            next_token(j, J[j].token);
#endif
#endif
            J[j].letter = 0; J[j].letter_token = 0;
            J[j].status = queued; J[j].attempts = 0; J[j].deaths = 0; J[j].retried = 0;
            put_into_stream(j, 0);
            J[j].given = 0; J[j].newest = NOBODY; J[j].writer = NOBODY; J[j].writes = 0; J[j].starts = 0; J[j].over = 0;
            printf("its token is %d\n", J[j].token)
       fi;
       check(j)
     }
  :: d_step {            /* XDEL */
       if
       :: J[j].letter == seen ->
            printf("O%d discards letter %d of job %d\n", _pid, seen, j);
            J[j].letter = 0; J[j].letter_token = 0; J[j].used = seen;
            if :: IS_OPEN(j) :: else -> J[j].over = 1 fi
       :: else
       fi;
       check(j)
     }
  fi;
  d_step { j = 0; seen = 0 };
  goto end_reads
}

/* One process for each thing that happens by itself, so that weak fairness holds for each. */

proctype Lapse(byte j) {
end:
  do
  :: d_step { J[j].status == in_progress && !J[j].lapsed -> J[j].lapsed = 1; printf("the lease of job %d lapses\n", j) }
  od
}

proctype Idle(byte j) {
end:
  do
  :: d_step { J[j].entry && J[j].claimed && !J[j].idle && !J[j].forgotten -> J[j].idle = 1 }
  od
}

proctype Promote(byte j) {
end:
  do
#if !PROMOTE_NEVER
  :: d_step {            /* promote.lua */
       J[j].scheduled -> J[j].scheduled = 0;
       if
       :: J[j].status == gone -> abandon(j)
       :: else -> put_into_stream(j, 1)
       fi;
       check(j)
     }
#else
  :: false
#endif
  od
}

/* settle.lua, 'cancel'; records that expire; clocks that step back. None of it has to happen, and
 * where liveness is searched the process may end, as fairness would have it cancel every job. */
proctype World(byte j) {
end:
  do
  :: d_step {
       !J[j].cancel_asked && IS_OPEN(j) -> J[j].cancel_asked = 1; close(j, cancelled, NOBODY);
       printf("the caller cancels job %d\n", j); check(j)
     }
  :: d_step {
       IS_FINAL(j) -> J[j].over = 1; J[j].status = gone; J[j].token = 0; J[j].retried = 0; J[j].attempts = 0; J[j].deaths = 0;
       printf("the record of job %d expires\n", j); check(j)
     }
  :: d_step {
       J[j].vanished < VANISHES && IS_OPEN(j) && J[j].starts -> J[j].vanished++;
       J[j].status = gone; J[j].token = 0; J[j].retried = 0; J[j].attempts = 0; J[j].deaths = 0; J[j].lapsed = 0;
       printf("the record of job %d expires before its end\n", j); check(j)
     }
  :: d_step { J[j].steps_back < STEPS_BACK && J[j].clock -> J[j].steps_back++; J[j].clock = 0; printf("the clock steps back\n") }
#if LIVENESS
  :: break
#endif
  od
}

init {
  byte j;
  atomic {
    for (j : 0 .. JOBS - 1) { run Lapse(j); run Idle(j); run Promote(j); run World(j) }
  }
}

/* A job whose workers keep coming back ends. */
ltl ends { [] (HAS_ENDED(0) || <> HAS_ENDED(0)) }
