"""Roster files as their makers write them, with each known oddity; the people are invented."""

CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,HW1 (101),Final Score\n"
    "    Points Possible,,,,,10,(read only)\n"
    '"Lovelace, Ada",4711,3031234567,ada,STAT 157 LEC 001,9,90\n'
    '"Ibáñez, José María",4712,3031234568,jmibanez,STAT 157 LEC 001 and STAT 157 LAB 101,,\n'
    '"=HYPERLINK(""http://x"")",4713,3031234569,evil,STAT 157 LEC 001,1,1\n'
    '"Student, Test",4714,,0bf6e3c7a4d1,STAT 157 LEC 001,,\n'
)
BCOURSES_OLD = (
    "Name,Student ID,User ID,Role,Email Address,Sections,Majors,Terms in Attendance\n"
    '"Lovelace, Ada",3031234567,1001,E,ada@berkeley.edu,"LEC 001, DIS 101",Statistics BA,4\n'
    '"王, 小明",3031234568,1002,W,xm@berkeley.edu,LEC 001,Computer Science,2\n'
    '"Diaz, Carlos",3031234569,1003,C,carlos@berkeley.edu,LEC 001,,\n'
)
CALCENTRAL = (
    "Name,Student ID,User ID,Email Address,Role,LEC,DIS,Units,Grading Basis,Waitlist Position,Majors\n"
    '"Lovelace, Ada",3031234567,1001,ada@berkeley.edu,Student,LEC 001,DIS 101,4,Letter,,Statistics BA\n'
    '"Okafor, Tyler",3031234570,1004,tyler@berkeley.edu,Student,LEC 001,,4,P/NP,3,\n'
)
GRADESCOPE = (
    "First Name,Last Name,SID,Email,Role,Section\n"
    "Ada,Lovelace,3031234567,ada@berkeley.edu,Student,DIS 101\n"
    "Grace,Hopper,,grace@berkeley.edu,TA,\n"
    "Alan,Turing,,alan@berkeley.edu,Instructor,\n"
)
PLAIN = "ada@berkeley.edu\nben@berkeley.edu\n"
PASTED = "Ada Lovelace <ada@berkeley.edu>, Ben Ohm <ben@berkeley.edu>\nCy Sun <cy@berkeley.edu>\n"
REAL = [CANVAS, BCOURSES_OLD, CALCENTRAL, GRADESCOPE, PLAIN, PASTED]
